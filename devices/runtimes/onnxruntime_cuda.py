"""ONNX Runtime on an NVIDIA GPU, by its CUDA execution provider."""

from __future__ import annotations

from typing import Any

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.errors import MissingExtraError
from devices.runtimes.onnxruntime import OnnxSession, Provider, ort_module
from devices.runtimes.torch import torch_module
from devices.target import Target

_NAME = "CUDAExecutionProvider"


def provider(index: int) -> Provider:
    """The CUDA provider on one GPU, with every node on it or no session at all.

    Args:
        index: number of the GPU, as CUDA counts.
    """
    return Provider(
        name=_NAME,
        # TF32 is the provider's own default: written out, so that the facts cannot be wrong.
        settings=(("device_id", str(index)), ("use_tf32", "1")),
        config=(("session.disable_cpu_ep_fallback", "1"),),
        place="cuda",
        index=index,
    )


class OnnxRuntimeCuda:
    """Runs ``.onnx`` files on one GPU.

    Args:
        index: number of the GPU, as CUDA counts.
        library: the module ``onnxruntime``, or something like it.
    """

    name = "onnxruntime"
    artifact_format = "onnx"
    options: frozenset[str] = frozenset()

    def __init__(self, index: int, library: Any = None) -> None:
        self._index = index
        self._library = library

    def _checked(self) -> Any:
        # PyTorch first: it brings the CUDA libraries that the provider looks for.
        torch_module()
        ort = self._library or ort_module()
        if _NAME not in ort.get_available_providers():
            raise MissingExtraError(
                f"this ONNX Runtime ({ort.__version__}) cannot drive a GPU",
                f"it has no {_NAME}",
                "pip uninstall onnxruntime, then pip install onnxruntime-gpu",
            )
        return ort

    def version(self) -> str:
        """The installed version.

        Raises:
            MissingExtraError: it is not installed, or is the build without CUDA.
        """
        return str(self._checked().__version__)

    def facts(self) -> dict[str, str]:
        """The CUDA it was built for, and that float32 is computed in TF32 where it can be."""
        ort = self._checked()
        return {
            "cuda_version": str(getattr(ort, "cuda_version", "") or "unknown"),
            "tf32_matmul": "on",
            "tf32_convolution": "on",
        }

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model.

        Raises:
            ArtifactError: a file that cannot be loaded, or has nodes that would run on the CPU.
            DeviceError: the provider did not start.
            MissingExtraError: as in :meth:`version`.
        """
        self._checked()
        return OnnxSession(artifact, target, provider(self._index))
