"""Artifact: a model file that a runtime can load."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from devices.errors import UnknownNameError
from devices.files import write_at_once

_SUFFIXES = {"onnx": ".onnx", "tflite": ".tflite", "torch-export": ".pt2"}


@dataclass(frozen=True)
class Artifact:
    """A model file with one input, float32 or (quantised) 8-bit, and what it is called.

    Attributes:
        path: where the file is.
        key: opaque name of what the file computes; recordings answer by it.
        format: ``onnx``, ``tflite`` or ``torch-export``.
        input_shape: shape of the input, the batch first.
        sha256: of the file's contents, in hex.
    """

    path: Path
    key: str
    format: str
    input_shape: tuple[int, ...]
    sha256: str


class ArtifactFolder:
    """Files named by their contents, so that the same model is written (and pushed) once.

    Args:
        folder: created when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self, contents: bytes, *, key: str, file_format: str, input_shape: tuple[int, ...]
    ) -> Artifact:
        """Write a model file, unless it is there already.

        Args:
            contents: of the file.
            key: what it computes.
            file_format: ``onnx``, ``tflite`` or ``torch-export``.
            input_shape: of its input, the batch first.

        Raises:
            UnknownNameError: no such format.
        """
        if file_format not in _SUFFIXES:
            raise UnknownNameError.of("model file format", file_format, _SUFFIXES)
        digest = hashlib.sha256(contents).hexdigest()
        path = self.folder / f"{digest}{_SUFFIXES[file_format]}"
        if not path.exists():
            # Whatever is lost with the power is written again.
            write_at_once(path, contents, durable=False)
        return Artifact(path, key, file_format, input_shape, digest)
