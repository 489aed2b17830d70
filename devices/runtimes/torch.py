"""PyTorch on this machine's CPU: exported programs, run op by op."""

from __future__ import annotations

import inspect
import pickle
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.errors import ArtifactError, MeasurementError, MissingExtraError
from devices.runtimes.base import example_input, time_calls_ms
from devices.target import Target


def _module() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            "PyTorch is not installed", str(error), "pip install torch"
        ) from error
    return torch


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads; the process's own number comes back afterwards."""
    torch = _module()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_whole_archive(path: Path) -> bool:
    """Whether a file is a zip archive all of whose members are as they were written."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


class TorchRuntime:
    """Runs programs saved by ``torch.export.save``, eagerly, one ATen op after the other."""

    name = "torch"
    artifact_format = "torch-export"

    def version(self) -> str:
        """The installed version."""
        return str(_module().__version__)

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model; errors as in :meth:`devices.base.Device.load`."""
        return _Program(artifact, target)


class _Program:
    def __init__(self, artifact: Artifact, target: Target) -> None:
        torch = _module()
        # torch.export.load blames all sorts of things on a file that is not a whole zip archive.
        if not _is_whole_archive(artifact.path):
            raise ArtifactError(
                f"PyTorch cannot load {artifact.path.name} ({artifact.key})",
                "it is not a whole exported program",
                "export it again with torch.export.save",
            )
        try:
            program = torch.export.load(artifact.path)
        except (
            OSError,
            RuntimeError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            AssertionError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise ArtifactError(
                f"PyTorch cannot load {artifact.path.name} ({artifact.key})",
                first_line[:300],
                "export it again with torch.export.save",
            ) from error
        self._model: Any = program.module()
        self._call = _bare_forward(torch, program)
        self._torch = torch
        self._input = torch.from_numpy(example_input(artifact.input_shape))
        self._target = target
        self._key = artifact.key
        self._is_checked = False

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        call, x = self._call, self._input
        try:
            with _threads(self._target.threads), self._torch.inference_mode():
                if not self._is_checked:
                    # The one call with all checks of its input: what is timed has none.
                    self._model(x)
                    self._is_checked = True
                return time_calls_ms(lambda: call(x), warmup=warmup, runs=runs)
        # An input of a shape the program was not exported for fails an assertion.
        except (RuntimeError, AssertionError) as error:
            raise MeasurementError(
                f"{self._key} loaded but did not run", " ".join(str(error).split())[:300]
            ) from error

    def run(self, inputs: FloatArray) -> FloatArray:
        with _threads(self._target.threads), self._torch.inference_mode():
            output: FloatArray = self._model(self._torch.from_numpy(inputs)).numpy()
        return output

    def close(self) -> None:
        self._model = self._call = None


def _bare_forward(torch: Any, program: Any) -> Any:
    """The program's ATen calls and nothing else.

    Called as a module, an exported program checks its input and flattens it in each call: some
    40 us that no eager network pays, and that a sum of ops would count once an op.
    """
    unguarded = "check_guards" in inspect.signature(program.module).parameters
    module = program.module(check_guards=False) if unguarded else program.module()
    module.graph.set_codegen(torch.fx.graph.CodeGen())
    module.recompile()
    return module.forward
