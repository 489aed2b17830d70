"""Graph: a TFLite file under construction, in the schema's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
# What older readers look at for codes up to 127; the real code stands beside it.
_LAST_OLD_CODE = 127
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
}


class Graph:
    """Tensors and operators of a TFLite model under construction. Tensors are named by index."""

    def __init__(self, input_shape: Sequence[int]) -> None:
        self._buffers = [schema.BufferT()]
        self._codes: list[int] = []
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self.input = self._tensor(input_shape, np.dtype(np.float32), 0, "input")

    def _tensor(self, shape: Sequence[int], kind: np.dtype[Any], buffer: int, name: str) -> int:
        tensor = schema.TensorT()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _TYPES[kind]
        tensor.buffer = buffer
        tensor.name = name.encode()
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def shape(self, tensor: int) -> list[int]:
        """The shape of a tensor, NHWC."""
        return [int(size) for size in self._tensors[tensor].shape]

    def constant(self, array: npt.NDArray[Any]) -> int:
        """Add a constant."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self._buffers.append(buffer)
        number = len(self._buffers) - 1
        return self._tensor(array.shape, array.dtype, number, f"constant{number}")

    def add(
        self,
        operator: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: Any = None,
    ) -> int:
        """Add an operator of one float32 output.

        Args:
            operator: name in ``BuiltinOperator``.
            inputs: tensors.
            shape: of the output.
            options: the operator's options object, where it has one.
        """
        code = getattr(schema.BuiltinOperator, operator)
        if code not in self._codes:
            self._codes.append(code)
        output = self._tensor(shape, np.dtype(np.float32), 0, f"t{len(self._tensors)}")
        node = schema.OperatorT()
        node.opcodeIndex = self._codes.index(code)
        node.inputs = np.array(inputs, np.int32)
        node.outputs = np.array([output], np.int32)
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            node.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            node.builtinOptions = options
        self._operators.append(node)
        return output

    def finish(self, output: int) -> bytes:
        """The file."""
        graph = schema.SubGraphT()
        graph.tensors = self._tensors
        graph.operators = self._operators
        graph.inputs = np.array([self.input], np.int32)
        graph.outputs = np.array([output], np.int32)
        graph.name = b"main"
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = b"lutier"
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = [_operator_code(code) for code in self._codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())


def _operator_code(code: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.deprecatedBuiltinCode = min(code, _LAST_OLD_CODE)
    entry.builtinCode = code
    return entry
