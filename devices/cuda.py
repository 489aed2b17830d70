"""An NVIDIA GPU of the machine this process runs on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.environment import Environment, host_facts
from devices.errors import DeviceError, InputError, MissingExtraError, UnknownNameError
from devices.host import refuse_file, refuse_target
from devices.nvml import Gpu, GpuHealth
from devices.runtimes.base import HostRuntime
from devices.runtimes.onnxruntime_cuda import OnnxRuntimeCuda
from devices.runtimes.torch import torch_module
from devices.runtimes.torch_cuda import CompiledTorchCuda, TorchCuda
from devices.target import Target


class GpuRuntime(HostRuntime, Protocol):
    """One inference runtime of a GPU."""

    def facts(self) -> dict[str, str]:
        """What a latency depends on beside the runtime's version."""


class CudaDevice:
    """``cuda:N``: models run in this process, on the GPU that CUDA gives the number N.

    It changes no setting of the GPU: clocks, power cap and modes are read only.

    Args:
        address: the number.
        torch: the module ``torch``, or something like it.
        nvml: the module ``pynvml``, or something like it.

    Raises:
        InputError: the address is not a number.
        UnknownNameError: there is no such GPU.
        MissingExtraError: PyTorch was built without CUDA, or nvidia-ml-py is not installed.
        DeviceError: there is no GPU, or its driver does not answer.
    """

    def __init__(self, address: str = "", *, torch: Any = None, nvml: Any = None) -> None:
        if not (address.isascii() and address.isdigit() and len(address) <= 4):
            raise InputError(
                f"device {f'cuda:{address}' if address else 'cuda'!r}",
                "a GPU is named by its number",
                "cuda:0",
            )
        index = int(address)
        uuid = _uuid(torch or torch_module(), index)
        self._index = index
        self._gpu = Gpu(uuid, nvml)
        runtimes: tuple[GpuRuntime, ...] = (
            TorchCuda(index),
            CompiledTorchCuda(index),
            OnnxRuntimeCuda(index),
        )
        self._runtimes: Mapping[str, GpuRuntime] = {each.name: each for each in runtimes}

    @property
    def name(self) -> str:
        """``cuda:0``, ..."""
        return f"cuda:{self._index}"

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the runtimes Lutier drives on a GPU, installed or not."""
        return tuple(self._runtimes)

    def _runtime(self, name: str) -> GpuRuntime:
        try:
            return self._runtimes[name]
        except KeyError:
            raise UnknownNameError.of(f"runtime of {self.name}", name, self._runtimes) from None

    def artifact_format(self, runtime: str) -> str:
        """The model file format a runtime loads."""
        return self._runtime(runtime).artifact_format

    def runtime_version(self, runtime: str) -> str:
        """The installed version of a runtime.

        Raises:
            MissingExtraError: it is not installed, or was built without CUDA.
        """
        return self._runtime(runtime).version()

    def environment(self, target: Target) -> Environment:
        """The GPU with its driver, caps and modes, the host, and the runtime.

        ``chip`` is the GPU; the processor, which queues its work, is ``host_chip``.

        Raises:
            InputError: more threads than the host has cores, or an option the runtime lacks.
            DeviceError: the GPU does not answer.
        """
        runtime = self._runtime(target.runtime)
        refuse_target(runtime, target)
        host = host_facts()
        return Environment.of(
            {
                **host,
                "host_chip": host["chip"],
                **self._gpu.facts(),
                "runtime": runtime.name,
                "runtime_version": runtime.version(),
                **runtime.facts(),
            }
        )

    def health(self) -> GpuHealth:
        """Clocks, temperature, power and what holds the clocks down, now.

        Raises:
            DeviceError: the GPU does not answer.
        """
        return self._gpu.health()

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model file onto the GPU.

        Raises:
            ArtifactError: a file the runtime cannot load, or not onto the GPU alone.
            InputError: more threads than the host has cores, an option the runtime lacks, or a
                file of another format.
            DeviceError: the runtime did not start on the GPU.
        """
        runtime = self._runtime(target.runtime)
        refuse_target(runtime, target)
        refuse_file(runtime, artifact)
        return runtime.load(artifact, target)

    def close(self) -> None:
        """Let go of the management library; twice is fine."""
        self._gpu.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def gpu_names(torch: Any = None) -> dict[str, str]:
    """Names of the GPUs that can be measured here, by device; none without a CUDA build of PyTorch.

    Args:
        torch: the module ``torch``, or something like it.
    """
    cuda = (torch or torch_module()).cuda
    return {
        f"cuda:{index}": str(cuda.get_device_properties(index).name)
        for index in range(int(cuda.device_count()))
    }


def _uuid(torch: Any, index: int) -> str:
    """The identity of a GPU, for libraries that count differently."""
    if torch.version.cuda is None:
        raise MissingExtraError(
            f"this PyTorch ({torch.__version__}) cannot drive a GPU",
            "it was built without CUDA",
            "a CUDA build of PyTorch: the selector on pytorch.org writes the command",
        )
    count = int(torch.cuda.device_count())
    if count == 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = "" if visible is None else f"; CUDA_VISIBLE_DEVICES is {visible!r}"
        raise DeviceError(
            f"no GPU for cuda:{index}",
            f"PyTorch finds none{hidden}",
            "nvidia-smi, which shows the driver and the GPUs",
        )
    if index >= count:
        there = ", ".join(
            f"cuda:{n} ({torch.cuda.get_device_properties(n).name})" for n in range(count)
        )
        raise UnknownNameError(f"unknown GPU 'cuda:{index}'", f"there are {there}", "cuda:0")
    return str(torch.cuda.get_device_properties(index).uuid)
