"""Torch module to TFLite file, written directly with the schema's own classes.

NHWC throughout, batch norm folded, activations fused, no transposes. Torch pads a strided
convolution alike on both sides, TFLite's SAME does not: where the two differ, PAD and VALID are
written. Modules that are not ours are added with ``emit.register``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from devices.errors import InputError
from profiler.builders.dispatch import check_forward
from profiler.builders.folding import as_array, fold
from profiler.builders.modules import GlobalAvgPool, MBConv, Zero

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
# What older readers look at for codes up to 127; the real code stands beside it.
_LAST_OLD_CODE = 127
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
}
_ACTIVATIONS: dict[type[nn.Module], int] = {
    nn.ReLU: schema.ActivationFunctionType.RELU,
    nn.ReLU6: schema.ActivationFunctionType.RELU6,
}
_NONE = schema.ActivationFunctionType.NONE


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


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


class _Window:
    """Where a sliding window of torch's reads, and how TFLite is told so."""

    def __init__(self, module: Any, height: int, width: int) -> None:
        self.kernel = _pair(module.kernel_size)
        self.stride = _pair(module.stride)
        self.padding = _pair(module.padding)
        self.size = (height, width)
        self.output = tuple(
            (size + 2 * padding - kernel) // stride + 1
            for size, padding, kernel, stride in zip(
                self.size, self.padding, self.kernel, self.stride, strict=True
            )
        )

    @property
    def is_same(self) -> bool:
        """Whether SAME pads as torch does: as much on both sides, and all of it."""
        for size, padding, kernel, stride, output in zip(
            self.size, self.padding, self.kernel, self.stride, self.output, strict=True
        ):
            total = max((output - 1) * stride + kernel - size, 0)
            if output != -(-size // stride) or total != 2 * padding:
                return False
        return True

    def prepare(self, graph: Graph, x: int, fill: float = 0.0) -> tuple[int, int]:
        """Pad ``x`` where SAME would not do; return it with the padding to be written."""
        if self.padding == (0, 0):
            return x, schema.Padding.VALID
        if self.is_same:
            return x, schema.Padding.SAME
        (top, left), (n, height, width, channels) = self.padding, graph.shape(x)
        amounts = graph.constant(np.array([[0, 0], [top, top], [left, left], [0, 0]], np.int32))
        shape = (n, height + 2 * top, width + 2 * left, channels)
        if fill == 0.0:
            return graph.add("PAD", [x, amounts], shape, schema.PadOptionsT()), schema.Padding.VALID
        value = graph.constant(np.array([fill], np.float32))
        padded = graph.add("PADV2", [x, amounts, value], shape, schema.PadV2OptionsT())
        return padded, schema.Padding.VALID


def _write_conv(
    graph: Graph, x: int, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, activation: int
) -> int:
    weight, bias = fold(conv, norm)
    if _pair(conv.dilation) != (1, 1):
        raise InputError("a dilated convolution cannot be written to TFLite")
    n, height, width, channels = graph.shape(x)
    window = _Window(conv, height, width)
    x, padding = window.prepare(graph, x)
    options: Any
    if conv.groups == 1:
        operator, options = "CONV_2D", schema.Conv2DOptionsT()
        kernel = weight.transpose(0, 2, 3, 1)
    elif conv.groups == channels == conv.out_channels:
        operator, options = "DEPTHWISE_CONV_2D", schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        kernel = weight.transpose(1, 2, 3, 0)
    else:
        raise InputError(
            f"a convolution of {channels} channels in {conv.groups} groups cannot be written",
            "TFLite has full and depthwise ones",
        )
    options.padding = padding
    options.strideH, options.strideW = window.stride
    options.fusedActivationFunction = activation
    inputs = [x, graph.constant(kernel), graph.constant(bias)]
    return graph.add(operator, inputs, (n, *window.output, conv.out_channels), options)


@singledispatch
def emit(module: nn.Module, graph: Graph, x: int) -> int:
    """Write a module whose input is the tensor ``x``; return its output.

    Raises:
        InputError: a module no writer is registered for.
    """
    raise InputError(
        f"{type(module).__name__} cannot be written to TFLite",
        "no writer is registered for it",
        "register one with profiler.builders.tflite.emit.register",
    )


def write(module: nn.Module, graph: Graph, x: int) -> int:
    """:func:`emit`, for a module that computes what its writer thinks it does.

    Raises:
        InputError: no writer, or a subclass with a ``forward`` of its own.
    """
    check_forward(module, emit.registry, "TFLite")
    return emit(module, graph, x)


@emit.register
def _(module: nn.Sequential, graph: Graph, x: int) -> int:
    children = list(module)
    while children:
        child = children.pop(0)
        if type(child) is not nn.Conv2d:
            x = write(child, graph, x)
            continue
        norm = None
        if children and isinstance(children[0], nn.BatchNorm2d):
            norm = children[0]
            children.pop(0)
        fused = _ACTIVATIONS.get(type(children[0])) if children else None
        if fused is not None:
            children.pop(0)
        x = _write_conv(graph, x, child, norm, _NONE if fused is None else fused)
    return x


@emit.register
def _(module: nn.Conv2d, graph: Graph, x: int) -> int:
    return _write_conv(graph, x, module, None, _NONE)


@emit.register
def _(module: MBConv, graph: Graph, x: int) -> int:
    out = write(module.layers, graph, x)
    if not module.has_residual:
        return out
    return graph.add("ADD", [x, out], graph.shape(x), schema.AddOptionsT())


@emit.register
def _(module: nn.ReLU, graph: Graph, x: int) -> int:
    return graph.add("RELU", [x], graph.shape(x))


@emit.register
def _(module: nn.ReLU6, graph: Graph, x: int) -> int:
    return graph.add("RELU6", [x], graph.shape(x))


@emit.register
def _(module: nn.Linear, graph: Graph, x: int) -> int:
    bias = np.zeros(module.out_features, np.float32)
    if module.bias is not None:
        bias = as_array(module.bias)
    inputs = [x, graph.constant(as_array(module.weight)), graph.constant(bias)]
    shape = (*graph.shape(x)[:-1], module.out_features)
    return graph.add("FULLY_CONNECTED", inputs, shape, schema.FullyConnectedOptionsT())


@emit.register
def _(module: GlobalAvgPool, graph: Graph, x: int) -> int:
    n, _, _, channels = graph.shape(x)
    axes = graph.constant(np.array([1, 2], np.int32))
    return graph.add("MEAN", [x, axes], (n, channels), schema.ReducerOptionsT())


def _write_pool(graph: Graph, x: int, window: _Window, operator: str, fill: float) -> int:
    n, _, _, channels = graph.shape(x)
    x, padding = window.prepare(graph, x, fill)
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = window.stride
    options.filterHeight, options.filterWidth = window.kernel
    return graph.add(operator, [x], (n, *window.output, channels), options)


@emit.register
def _(module: nn.MaxPool2d, graph: Graph, x: int) -> int:
    if module.ceil_mode or module.return_indices or _pair(module.dilation) != (1, 1):
        raise InputError("a pooling layer with ceil_mode, indices or dilation cannot be written")
    window = _Window(module, *graph.shape(x)[1:3])
    return _write_pool(graph, x, window, "MAX_POOL_2D", float(np.finfo(np.float32).min))


@emit.register
def _(module: nn.AvgPool2d, graph: Graph, x: int) -> int:
    if module.ceil_mode or module.divisor_override is not None:
        raise InputError("a pooling layer with ceil_mode or divisor_override cannot be written")
    window = _Window(module, *graph.shape(x)[1:3])
    padded = window.padding != (0, 0)
    if padded and window.is_same and module.count_include_pad:
        raise InputError("average pooling that counts its padding cannot be written to TFLite")
    out = _write_pool(graph, x, window, "AVERAGE_POOL_2D", 0.0)
    if not padded or window.is_same or module.count_include_pad:
        return out
    # The padding was written out, so it was counted: undone by what share of a window was image.
    counted = [
        [
            min(i * stride - padding + kernel, size) - max(i * stride - padding, 0)
            for i in range(output)
        ]
        for size, padding, kernel, stride, output in zip(
            window.size, window.padding, window.kernel, window.stride, window.output, strict=True
        )
    ]
    rows, columns = (np.array(axis, np.float32) for axis in counted)
    area = window.kernel[0] * window.kernel[1]
    factor = graph.constant((area / np.outer(rows, columns))[None, :, :, None].astype(np.float32))
    return graph.add("MUL", [out, factor], graph.shape(out), schema.MulOptionsT())


@emit.register
def _(module: nn.Identity, graph: Graph, x: int) -> int:
    return x


@emit.register
def _(module: Zero, graph: Graph, x: int) -> int:
    n, height, width, channels = graph.shape(x)
    if module.stride > 1:
        begin, end = np.zeros(4, np.int32), np.array(graph.shape(x), np.int32)
        strides = np.array([1, module.stride, module.stride, 1], np.int32)
        height, width = (-(-size // module.stride) for size in (height, width))
        inputs = [x, *(graph.constant(array) for array in (begin, end, strides))]
        shape = (n, height, width, channels)
        x = graph.add("STRIDED_SLICE", inputs, shape, schema.StridedSliceOptionsT())
    return graph.add("ZEROS_LIKE", [x], (n, height, width, channels), schema.ZerosLikeOptionsT())


def tflite_bytes(module: nn.Module, input_shape: tuple[int, ...], batch: int = 1) -> bytes:
    """The TFLite file of a module in evaluation mode.

    Args:
        module: built from the vocabulary, or with writers registered for its parts.
        input_shape: ``(channels, height, width)`` or ``(features,)``, without the batch, as torch
            has it; the file's input is ``(batch, height, width, channels)``.
        batch: fixed batch size.

    Raises:
        InputError: a module that cannot be written.
    """
    graph = Graph(nhwc(input_shape, batch))
    output = write(module, graph, graph.input)
    if output == graph.input:
        shape = graph.shape(output)
        wanted = graph.constant(np.array(shape, np.int32))
        output = graph.add("RESHAPE", [output, wanted], shape, schema.ReshapeOptionsT())
    return graph.finish(output)


def nhwc(input_shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """Torch's shape without the batch, as TFLite has it with the batch."""
    if len(input_shape) != 3:
        return (batch, *input_shape)
    channels, height, width = input_shape
    return (batch, height, width, channels)
