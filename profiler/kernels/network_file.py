"""A file that somebody gives, and ONNX files checked before anything is made of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from devices.errors import ArtifactError, InputError

MOST_BYTES = 2**31 - 1
"""What a protobuf message can hold."""
_FIXED = "the shapes fixed: python -m onnxruntime.tools.make_dynamic_shape_fixed"


@dataclass(frozen=True)
class NetworkFile:
    """A network in a file, with its weights.

    Attributes:
        path: where it was read from.
        contents: the file, whatever it kept elsewhere included.
        inputs: shape of each input that is not a weight, by name.
        sha256: of the contents, in hex.
        file_format: ``onnx`` or ``tflite``.
    """

    path: Path
    contents: bytes
    inputs: dict[str, tuple[int, ...]]
    sha256: str
    file_format: str = "onnx"

    @property
    def key(self) -> str:
        """What its measurement is stored under: its name, and what tells it from its namesakes."""
        name = re.sub(r"[^A-Za-z0-9._@=-]+", "_", self.path.stem)[:100]
        return f"file/{name}#{self.sha256[:12]}"


def read_network_file(path: Path) -> NetworkFile:
    """Read an ONNX file.

    Raises:
        InputError: no such file.
        ArtifactError: it is cut, no ONNX, empty, too large, without its weights, or its shapes are
            not fixed.
    """
    if not path.is_file():
        raise InputError(f"no file {path}")
    _refuse_size(path, path.stat().st_size)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read", "it is cut, or no ONNX file at all", "export it again"
        ) from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read", str(error)[:200]) from error
    if not model.ir_version or not model.HasField("graph"):
        raise ArtifactError(f"{path} is no ONNX file", "it names no version, or has no graph")
    if not model.graph.node:
        raise ArtifactError(f"{path} has nothing to run", "its graph is empty")
    inputs = _inputs(path, model)
    contents = _with_weights(path, model)
    return NetworkFile(path, contents, inputs, hashlib.sha256(contents).hexdigest())


def _refuse_size(path: Path, size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise ArtifactError(
            f"{path} holds {size_bytes / 1e9:.1f} GB with its weights",
            f"an ONNX message holds {MOST_BYTES / 1e9:.1f} GB at the most",
            "a smaller network, or a part of it",
        )


def _inputs(path: Path, model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs that are no weights."""
    weights = {each.name for each in model.graph.initializer}
    shapes: dict[str, tuple[int, ...]] = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        dimensions = value.type.tensor_type.shape.dim
        has_shape = value.type.tensor_type.HasField("shape")
        free = [str(each.dim_param or "?") for each in dimensions if each.dim_value < 1]
        if free or not has_shape:
            raise ArtifactError(
                f"{path} takes inputs of any size",
                f"{value.name[:80]} has the free dimensions {', '.join(free)[:80]}"
                if free
                else f"{value.name[:80]} has no shape",
                _FIXED,
            )
        shapes[value.name] = tuple(each.dim_value for each in dimensions)
    return shapes


def _with_weights(path: Path, model: onnx.ModelProto) -> bytes:
    """The file with the weights that it keeps elsewhere."""
    elsewhere = [each for each in model.graph.initializer if uses_external_data(each)]
    try:
        if elsewhere:
            _refuse_size(path, path.stat().st_size + sum(map(_stored_bytes, elsewhere)))
            load_external_data_for_model(model, str(path.parent))
        contents: bytes = model.SerializeToString()
    except (OSError, ValueError, onnx.checker.ValidationError, EncodeError) as error:
        raise ArtifactError(
            f"{path} lacks weights",
            " ".join(str(error).split())[:200],
            "keep the file of its weights beside it, under the name it had",
        ) from error
    return contents


def _stored_bytes(tensor: Any) -> int:
    for entry in tensor.external_data:
        if entry.key == "length" and entry.value.isdigit():
            return int(entry.value[:18])
    return 0
