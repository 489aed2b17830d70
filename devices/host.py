"""The CPU of the machine this process runs on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Self

from devices.artifact import Artifact
from devices.base import ExecutableModel, Tensor
from devices.environment import Environment, host_facts
from devices.errors import InputError, UnknownNameError
from devices.health import Counters, host_counters
from devices.runtimes.base import HostRuntime
from devices.runtimes.litert import LiteRt, as_written
from devices.runtimes.onnxruntime import OnnxRuntime
from devices.runtimes.onnxruntime_graph import observed_tensors, optimised_graph
from devices.runtimes.torch import TorchRuntime
from devices.runtimes.torch_compile import CompiledTorchRuntime
from devices.target import Target

_RUNTIMES: dict[str, HostRuntime] = {
    runtime.name: runtime
    for runtime in (OnnxRuntime(), LiteRt(), TorchRuntime(), CompiledTorchRuntime())
}


class HostDevice:
    """``cpu``: models run in this process.

    Args:
        address: what follows the device's name after a colon; this device has none.

    Raises:
        InputError: an address was given.
    """

    def __init__(self, address: str = "") -> None:
        if address:
            raise InputError(f"device {f'cpu:{address}'!r}", "the CPU has no number", "cpu")

    @property
    def name(self) -> str:
        """``cpu``."""
        return "cpu"

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the runtimes Lutier drives on this machine, installed or not."""
        return tuple(_RUNTIMES)

    def _runtime(self, name: str) -> HostRuntime:
        try:
            return _RUNTIMES[name]
        except KeyError:
            raise UnknownNameError.of("runtime of cpu", name, _RUNTIMES) from None

    def artifact_format(self, runtime: str) -> str:
        """The model file format a runtime loads."""
        return self._runtime(runtime).artifact_format

    def runtime_version(self, runtime: str) -> str:
        """The installed version of a runtime.

        Raises:
            MissingExtraError: it is not installed.
        """
        return self._runtime(runtime).version()

    def environment(self, target: Target) -> Environment:
        """Chip, cores, governor, and the runtime's version.

        Raises:
            InputError: more threads than the machine has cores, or an option the runtime does not
                have.
        """
        runtime = self._runtime(target.runtime)
        refuse_target(runtime, target)
        return Environment.of(
            {**host_facts(), "runtime": runtime.name, "runtime_version": runtime.version()}
        )

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model file into this process.

        Raises:
            ArtifactError: a file the runtime cannot load.
            InputError: more threads than the machine has cores, an option the runtime does not
                have, or a file of another format.
        """
        runtime = self._runtime(target.runtime)
        refuse_target(runtime, target)
        refuse_file(runtime, artifact)
        return runtime.load(artifact, target)

    def optimised(self, contents: bytes, target: Target, name: str) -> bytes:
        """The graph that ONNX Runtime runs, and for LiteRT the file as it is.

        Errors as in :class:`devices.base.GraphDevice`.
        """
        if target.runtime == LiteRt.name:
            return as_written(contents, target, name)
        _refuse_other_graphs(target)
        return optimised_graph(contents, target, name)

    def observed(self, contents: bytes, target: Target, name: str) -> Mapping[str, Tensor]:
        """Outputs of a model; errors as in :class:`devices.base.GraphDevice`."""
        _refuse_other_graphs(target)
        return observed_tensors(contents, target, name)

    def counters(self) -> Counters | None:
        """What the machine has done so far; ``None`` where the system does not tell."""
        return host_counters()

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _refuse_other_graphs(target: Target) -> None:
    """Raise :class:`InputError` where a runtime does not show its graph."""
    if target.runtime != OnnxRuntime.name:
        raise InputError(
            f"{target.runtime} does not show the kernels of a network",
            hint=f"{target.device}/onnxruntime?threads={target.threads}",
        )


def refuse_file(runtime: HostRuntime, artifact: Artifact) -> None:
    """Raise :class:`InputError` where a file is of a format the runtime does not load."""
    if artifact.format != runtime.artifact_format:
        raise InputError(
            f"{artifact.key} is a file of format {artifact.format}",
            f"{runtime.name} loads {runtime.artifact_format}",
        )


def refuse_target(runtime: HostRuntime, target: Target) -> None:
    """Raise :class:`InputError` where a target asks for what runtime or machine do not have."""
    target.refuse_options(runtime.name, sorted(runtime.options))
    cores = os.cpu_count() or 1
    if target.threads > cores:
        raise InputError(f"threads={target.threads}", f"this machine has {cores} cores")
