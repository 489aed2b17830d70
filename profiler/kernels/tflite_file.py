"""A TFLite file that somebody gives, checked before anything is made of it."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from devices.errors import ArtifactError, InputError
from profiler.builders.tflite_graph import FILE_IDENTIFIER, TYPE_NAMES
from profiler.kernels.network_file import MOST_BYTES, NetworkFile

_SHOWN = 5
_OPERATORS: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()
}
_TYPES: dict[int, str] = {
    code: name for name, code in vars(schema.TensorType).items() if name.isupper()
}
# What the classes of the schema raise where a file does not hold what it points to.
_UNREADABLE = (
    *(struct.error, ValueError, TypeError, IndexError, AttributeError, KeyError),
    *(OverflowError, MemoryError, RecursionError),
)
_QUANTISED = {"FLOAT16", "INT16", "UINT16", "INT8", "UINT8", "INT4", "UINT4", "INT2"}


def read_tflite_file(path: Path) -> NetworkFile:
    """Read a TFLite file.

    Returns:
        The file, with the shape of each input, channels last.

    Raises:
        InputError: no such file.
        ArtifactError: it is cut, no TFLite file, empty, too large, quantised, of several
            subgraphs, with custom operators, or its shapes are not fixed.
    """
    if not path.is_file():
        raise InputError(f"no file {path}")
    if path.stat().st_size > MOST_BYTES:
        raise ArtifactError(
            f"{path} holds {path.stat().st_size / 1e9:.1f} GB",
            f"{MOST_BYTES / 1e9:.1f} GB is the most that is read",
            "a smaller network, or a part of it",
        )
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read", str(error)[:200]) from error
    if contents[4:8] != FILE_IDENTIFIER:
        raise ArtifactError(
            f"{path} is no TFLite file", "its mark is not there", "convert it again"
        )
    graph = main_graph(parsed(contents, str(path)), str(path))
    try:
        inputs = _inputs(graph, str(path))
    except _UNREADABLE as error:
        raise _cut(str(path)) from error
    digest = hashlib.sha256(contents).hexdigest()
    return NetworkFile(path, contents, inputs, digest, "tflite")


def parsed(contents: bytes, name: str) -> Any:
    """A file as the schema's own ``ModelT``.

    Args:
        contents: of the file.
        name: what errors call it.

    Raises:
        ArtifactError: it is cut.
    """
    try:
        return schema.ModelT.InitFromPackedBuf(contents)
    except _UNREADABLE as error:
        raise _cut(name) from error


def main_graph(model: Any, name: str) -> Any:
    """The one graph of a ``ModelT``, whose operators are all built in and not quantised.

    Raises:
        ArtifactError: several graphs or none, an empty one, custom operators, or quantised tensors.
    """
    graphs = model.subgraphs if model.subgraphs is not None else []
    if len(graphs) != 1:
        raise ArtifactError(
            f"{name} has {len(graphs)} subgraphs",
            "loops, branches and several signatures are not taken apart",
            "a file with one signature, and no loops or branches",
        )
    (graph,) = graphs
    if not graph.operators or graph.tensors is None or graph.inputs is None:
        raise ArtifactError(f"{name} has nothing to run", "its graph is empty")
    try:
        custom = dict.fromkeys(_custom_name(model, node) for node in graph.operators)
        kinds = dict.fromkeys(_TYPES.get(tensor.type, "unknown") for tensor in graph.tensors)
    except _UNREADABLE as error:
        raise _cut(name) from error
    named = [each for each in custom if each]
    if named:
        raise ArtifactError(
            f"{name} has custom operators: {_listed(named)}",
            "what they do is not in the file",
            "convert it with built-in operators alone",
        )
    quantised = [kind for kind in kinds if kind in _QUANTISED]
    if quantised:
        raise ArtifactError(
            f"{name} holds tensors of type {_listed(quantised)}",
            "only float32 networks are taken apart so far",
            "convert it without quantisation",
        )
    return graph


def operator_name(model: Any, node: Any) -> str:
    """Name of a node's operator in ``BuiltinOperator``; its number where there is none."""
    code = model.operatorCodes[node.opcodeIndex]
    # Older files have numbers up to 127 in the old place alone.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _OPERATORS.get(number, str(number))


def constant_bytes(model: Any, contents: bytes, tensor: Any) -> bytes | None:
    """What a tensor holds in the file; None where other nodes make it.

    Large files keep it behind their graph.
    """
    buffer = model.buffers[tensor.buffer]
    if buffer.offset > 1:
        return contents[buffer.offset : buffer.offset + buffer.size]
    if buffer.data is None or len(buffer.data) == 0:
        return None
    return np.asarray(buffer.data, np.uint8).tobytes()


def type_name(tensor: Any) -> str:
    """Type of a tensor's elements in numpy's words; of types that no kernel has, the schema's."""
    name = TYPE_NAMES.get(tensor.type)
    return name if name is not None else _TYPES.get(tensor.type, "unknown")


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Shape of a tensor; that of a scalar is empty."""
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def is_dynamic(tensor: Any) -> bool:
    """Whether the file leaves a size open."""
    signature = tensor.shapeSignature
    return signature is not None and any(int(size) < 0 for size in signature)


def text_of(value: bytes | None) -> str:
    """A name in a file, as it can be printed."""
    text = (value or b"").decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable())[:80]


def _custom_name(model: Any, node: Any) -> str:
    code = model.operatorCodes[node.opcodeIndex]
    if operator_name(model, node) != "CUSTOM":
        return ""
    return text_of(code.customCode) or "one without a name"


def _inputs(graph: Any, name: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for number in graph.inputs:
        tensor = graph.tensors[int(number)]
        shape = shape_of(tensor)
        if is_dynamic(tensor) or any(size < 1 for size in shape):
            signature: npt.NDArray[Any] | None = tensor.shapeSignature
            sizes = shape if signature is None else tuple(int(size) for size in signature)
            raise ArtifactError(
                f"{name} takes inputs of any size",
                f"{text_of(tensor.name)} is of shape {'x'.join(map(str, sizes))}",
                "convert it with fixed shapes",
            )
        shapes[text_of(tensor.name) or f"input{number}"] = shape
    return shapes


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _cut(name: str) -> ArtifactError:
    return ArtifactError(
        f"{name} cannot be read", "it is cut, or no TFLite file at all", "convert it again"
    )
