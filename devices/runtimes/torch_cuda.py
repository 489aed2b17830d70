"""PyTorch on an NVIDIA GPU: CUDA events around one inference, and CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.errors import MeasurementError, MissingExtraError
from devices.runtimes.torch import Forward, TorchModel, torch_module
from devices.runtimes.torch_compile import compile_forward
from devices.target import Target

# Kernels are chosen, and their workspaces taken, in the first runs: a capture must not meet that.
_RUNS_BEFORE_CAPTURE = 3


class CudaPlace:
    """One GPU as torch sees it.

    Args:
        name: ``cuda:0``, ...
        cuda: the module ``torch.cuda``, or something like it.
    """

    def __init__(self, name: str, cuda: Any = None) -> None:
        self.name = name
        self._cuda: Any = cuda or torch_module().cuda

    def current(self) -> AbstractContextManager[object]:
        """Work is queued on this GPU, and on the one before again afterwards."""
        context: AbstractContextManager[object] = self._cuda.device(self.name)
        return context

    def time_calls_ms(self, call: Callable[[], object], *, warmup: int, runs: int) -> list[float]:
        """Latencies in ms, each between two events on the GPU's own clock.

        The GPU is idle when the first event is recorded, so the time the processor takes to queue
        the work of the call is part of the latency, as it is for a caller.

        Raises:
            MeasurementError: no time passed between two events.
        """
        cuda = self._cuda
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        for _ in range(warmup):
            call()
        cuda.synchronize()
        timings = []
        for _ in range(runs):
            start.record()
            call()
            end.record()
            end.synchronize()
            elapsed_ms = float(start.elapsed_time(end))
            if elapsed_ms <= 0:
                raise MeasurementError(
                    f"an inference took {elapsed_ms} ms on {self.name}",
                    "it is shorter than the GPU's clock can tell",
                )
            timings.append(elapsed_ms)
        return timings

    def captured(self, forward: Forward, example: Any) -> Forward:
        """The inference as a CUDA graph."""
        return _Graph(self._cuda, forward, example)


class _Graph:
    """The kernels of one inference, queued at once. They read and write fixed memory."""

    def __init__(self, cuda: Any, forward: Forward, example: Any) -> None:
        self._example = example
        self._input = example.clone()
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(_RUNS_BEFORE_CAPTURE):
                forward(self._input)
        cuda.current_stream().wait_stream(side)
        self._graph = cuda.CUDAGraph()
        with cuda.graph(self._graph):
            output = forward(self._input)
        self._output = output[0] if isinstance(output, tuple | list) else output

    def __call__(self, inputs: Any) -> Any:
        if inputs is self._example:
            # What is timed: the input is in place.
            self._graph.replay()
            return self._output
        self._input.copy_(inputs)
        self._graph.replay()
        output = self._output.clone()
        self._input.copy_(self._example)
        return output


class TorchCuda:
    """Runs exported programs on one GPU, eagerly, one ATen op after the other.

    Args:
        index: number of the GPU, as CUDA counts.
    """

    name = "torch"
    artifact_format = "torch-export"
    options: frozenset[str] = frozenset({"layout", "graph"})

    def __init__(self, index: int) -> None:
        self._index = index

    def version(self) -> str:
        """The installed version."""
        return str(torch_module().__version__)

    def facts(self) -> dict[str, str]:
        """CUDA, cuDNN, and whether float32 is computed in TF32: as configured, never changed."""
        torch = torch_module()
        matmul, convolution = tf32(torch)
        return {
            "cuda_version": str(torch.version.cuda),
            "cudnn_version": str(torch.backends.cudnn.version()),
            "cudnn_benchmark": "on" if torch.backends.cudnn.benchmark else "off",
            "tf32_matmul": matmul,
            "tf32_convolution": convolution,
        }

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model; errors as in :meth:`devices.base.Device.load`."""
        return TorchModel(artifact, target, place=CudaPlace(f"cuda:{self._index}"))


class CompiledTorchCuda(TorchCuda):
    """Compiles exported programs with TorchInductor, for one GPU.

    Args:
        index: number of the GPU, as CUDA counts.
    """

    name = "torch-compile"

    def version(self) -> str:
        """Versions of PyTorch and of Triton, which writes the kernels.

        Raises:
            MissingExtraError: one of them is not installed.
        """
        pytorch = super().version()
        try:
            return f"{pytorch} with triton {version('triton')}"
        except PackageNotFoundError as error:
            raise MissingExtraError(
                "torch-compile needs Triton to compile for a GPU",
                "it is not installed",
                "pip install triton",
            ) from error

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load and compile a model; errors as those of the runtime of the processor."""
        place = CudaPlace(f"cuda:{self._index}")
        return TorchModel(artifact, target, place=place, compiler=compile_forward)


def tf32(torch: Any) -> tuple[str, str]:
    """Whether matrix products and convolutions of float32 use TF32: ``on`` or ``off`` each.

    Args:
        torch: the module, or something like it.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    # PyTorch 2.9 has a setting for each; reading the older one after that was set is an error.
    if hasattr(getattr(cudnn, "conv", None), "fp32_precision"):
        settings = (matmul.fp32_precision == "tf32", cudnn.conv.fp32_precision == "tf32")
    else:
        settings = (bool(matmul.allow_tf32), bool(cudnn.allow_tf32))
    first, second = ("on" if setting else "off" for setting in settings)
    return first, second
