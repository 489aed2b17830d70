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
_TYPES: dict[np.dtype[Any], int] = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
TYPE_NAMES = {code: kind.name for kind, code in _TYPES.items()}
"""The types that tensors may have here, in numpy's words, by their number in the schema."""


class Graph:
    """Tensors and operators of a TFLite model under construction. Tensors are named by index."""

    def __init__(self, input_shape: Sequence[int]) -> None:
        self._buffers = [schema.BufferT()]
        self._codes: list[tuple[int, int]] = []
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

    def variable(self, shape: Sequence[int], kind: np.dtype[Any]) -> int:
        """Add a tensor of zeros that a reader may not take for a constant."""
        number = self._tensor(shape, kind, 0, f"variable{len(self._tensors)}")
        self._tensors[number].isVariable = True
        return number

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
        (output,) = self.node(operator, inputs, [(shape, np.dtype(np.float32))], options)
        return output

    def node(
        self,
        operator: str,
        inputs: Sequence[int],
        outputs: Sequence[tuple[Sequence[int], np.dtype[Any]]],
        options: Any = None,
        version: int = 1,
    ) -> list[int]:
        """Add an operator of any outputs.

        Args:
            operator: name in ``BuiltinOperator``.
            inputs: tensors; -1 for one that is left out.
            outputs: shape and type of each.
            options: the operator's options object, where it has one.
            version: of the operator.

        Returns:
            The outputs, in their order.
        """
        code = (getattr(schema.BuiltinOperator, operator), version)
        if code not in self._codes:
            self._codes.append(code)
        made = [self._tensor(shape, kind, 0, f"t{len(self._tensors)}") for shape, kind in outputs]
        node = schema.OperatorT()
        node.opcodeIndex = self._codes.index(code)
        node.inputs = np.array(inputs, np.int32)
        node.outputs = np.array(made, np.int32)
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            node.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            node.builtinOptions = options
        self._operators.append(node)
        return made

    def finish(self, *outputs: int) -> bytes:
        """The file, with these outputs."""
        graph = schema.SubGraphT()
        graph.tensors = self._tensors
        graph.operators = self._operators
        graph.inputs = np.array([self.input], np.int32)
        graph.outputs = np.array(outputs, np.int32)
        graph.name = b"main"
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = b"lutier"
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = [_operator_code(*code) for code in self._codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())


def _operator_code(code: int, version: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.deprecatedBuiltinCode = min(code, _LAST_OLD_CODE)
    entry.builtinCode = code
    entry.version = version
    return entry
