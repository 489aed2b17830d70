"""Torch module to TFLite file, written directly with the schema's own classes.

NHWC throughout, batch norm folded, activations fused, no transposes but those of channel shuffles.
Torch pads a strided convolution alike on both sides, TFLite's SAME does not: where the two differ,
PAD and VALID are written. Modules that are not ours are added with ``emit.register``.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from devices.errors import InputError
from profiler.builders.dispatch import check_forward
from profiler.builders.folding import as_array, fold, scale_and_shift
from profiler.builders.graphs import SumGraph
from profiler.builders.modules import (
    ChannelShuffle,
    GlobalAvgPool,
    MBConv,
    ResidualBlock,
    SqueezeExcite,
    SumWithConstants,
    Zero,
)
from profiler.builders.tflite_graph import FILE_IDENTIFIER as FILE_IDENTIFIER
from profiler.builders.tflite_graph import Graph
from profiler.builders.tflite_window import Window, pair

_ACTIVATIONS: dict[type[nn.Module], int] = {
    nn.ReLU: schema.ActivationFunctionType.RELU,
    nn.ReLU6: schema.ActivationFunctionType.RELU6,
}
_NONE: int = schema.ActivationFunctionType.NONE


def _write_conv(
    graph: Graph, x: int, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, activation: int
) -> int:
    weight, bias = fold(conv, norm)
    if pair(conv.dilation) != (1, 1):
        raise InputError("a dilated convolution cannot be written to TFLite")
    n, height, width, channels = graph.shape(x)
    window = Window(conv, height, width)
    x, padding = window.prepare(graph, x)
    options: Any
    if conv.groups == channels > 1:
        operator, options = "DEPTHWISE_CONV_2D", schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = conv.out_channels // channels
        kernel = weight.transpose(1, 2, 3, 0)
    else:
        # Groups are not written: a reader knows them by the kernel having fewer channels.
        operator, options = "CONV_2D", schema.Conv2DOptionsT()
        kernel = weight.transpose(0, 2, 3, 1)
    options.padding = padding
    options.strideH, options.strideW = window.stride
    options.fusedActivationFunction = activation
    inputs = [x, graph.constant(kernel), graph.constant(bias)]
    return graph.add(operator, inputs, (n, *window.output, conv.out_channels), options)


def _write_norm(graph: Graph, x: int, norm: nn.BatchNorm2d, activation: int) -> int:
    scale, shift = scale_and_shift(norm)
    shape = graph.shape(x)
    x = graph.add("MUL", [x, graph.constant(scale)], shape, schema.MulOptionsT())
    return _write_sum(graph, x, graph.constant(shift), activation)


def _write_sum(graph: Graph, x: int, other: int, activation: int = _NONE) -> int:
    options = schema.AddOptionsT()
    options.fusedActivationFunction = activation
    return graph.add("ADD", [x, other], graph.shape(x), options)


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
        if type(child) is nn.Conv2d:
            norm = None
            if children and isinstance(children[0], nn.BatchNorm2d):
                norm = children[0]
                children.pop(0)
            x = _write_conv(graph, x, child, norm, _taken_on(children))
        elif type(child) is nn.BatchNorm2d:
            x = _write_norm(graph, x, child, _taken_on(children))
        else:
            x = write(child, graph, x)
    return x


def _taken_on(children: list[nn.Module]) -> int:
    """The activation that stands next, which the operator before it takes on; it is removed."""
    fused = _ACTIVATIONS.get(type(children[0])) if children else None
    if fused is None:
        return _NONE
    children.pop(0)
    return fused


@emit.register
def _(module: nn.Conv2d, graph: Graph, x: int) -> int:
    return _write_conv(graph, x, module, None, _NONE)


@emit.register
def _(module: MBConv, graph: Graph, x: int) -> int:
    out = write(module.layers, graph, x)
    return _write_sum(graph, x, out) if module.has_residual else out


@emit.register
def _(module: ResidualBlock, graph: Graph, x: int) -> int:
    shortcut = write(module.shortcut, graph, x)
    return _write_sum(graph, shortcut, write(module.layers, graph, x))


@emit.register
def _(module: SumWithConstants, graph: Graph, x: int) -> int:
    for constant in module.constants(graph.shape(x)[0]):
        x = _write_sum(graph, x, graph.constant(as_array(constant.permute(0, 2, 3, 1))))
    return x


@emit.register
def _(module: SumGraph, graph: Graph, x: int) -> int:
    nodes = {0: x}
    for (before, after), part in module.shipped():
        given = write(part, graph, nodes[before])
        nodes[after] = _write_sum(graph, nodes[after], given) if after in nodes else given
    return nodes[module.last] if len(nodes) > 1 else write(Zero(stride=1), graph, x)


@emit.register
def _(module: nn.BatchNorm2d, graph: Graph, x: int) -> int:
    return _write_norm(graph, x, module, _NONE)


@emit.register
def _(module: ChannelShuffle, graph: Graph, x: int) -> int:
    shape = graph.shape(x)
    positions, width = math.prod(shape[:3]), module.channels // module.groups
    x = _write_reshape(graph, x, [positions, module.groups, width])
    order = graph.constant(np.array([0, 2, 1], np.int32))
    turned = [positions, width, module.groups]
    x = graph.add("TRANSPOSE", [x, order], turned, schema.TransposeOptionsT())
    return _write_reshape(graph, x, shape)


def _write_reshape(graph: Graph, x: int, shape: list[int]) -> int:
    wanted = graph.constant(np.array(shape, np.int32))
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    return graph.add("RESHAPE", [x, wanted], shape, options)


@emit.register
def _(module: nn.ReLU, graph: Graph, x: int) -> int:
    return graph.add("RELU", [x], graph.shape(x))


@emit.register
def _(module: nn.ReLU6, graph: Graph, x: int) -> int:
    return graph.add("RELU6", [x], graph.shape(x))


@emit.register
def _(module: nn.Hardswish, graph: Graph, x: int) -> int:
    return graph.add("HARD_SWISH", [x], graph.shape(x), schema.HardSwishOptionsT())


@emit.register
def _(module: nn.Hardsigmoid, graph: Graph, x: int) -> int:
    # TFLite has no operator for it: relu6(x + 3) / 6, as its converter writes it.
    three, sixth = (graph.constant(np.array(value, np.float32)) for value in (3, 1 / 6))
    x = _write_sum(graph, x, three, schema.ActivationFunctionType.RELU6)
    return graph.add("MUL", [x, sixth], graph.shape(x), schema.MulOptionsT())


@emit.register
def _(module: SqueezeExcite, graph: Graph, x: int) -> int:
    n, _, _, channels = graph.shape(x)
    axes = graph.constant(np.array([1, 2], np.int32))
    options = schema.ReducerOptionsT()
    options.keepDims = True
    means = graph.add("MEAN", [x, axes], (n, 1, 1, channels), options)
    gate = write(module.gate, graph, means)
    return graph.add("MUL", [x, gate], graph.shape(x), schema.MulOptionsT())


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


def _write_pool(graph: Graph, x: int, window: Window, operator: str, fill: float) -> int:
    n, _, _, channels = graph.shape(x)
    x, padding = window.prepare(graph, x, fill)
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = window.stride
    options.filterHeight, options.filterWidth = window.kernel
    return graph.add(operator, [x], (n, *window.output, channels), options)


@emit.register
def _(module: nn.MaxPool2d, graph: Graph, x: int) -> int:
    if module.ceil_mode or module.return_indices or pair(module.dilation) != (1, 1):
        raise InputError("a pooling layer with ceil_mode, indices or dilation cannot be written")
    window = Window(module, *graph.shape(x)[1:3])
    return _write_pool(graph, x, window, "MAX_POOL_2D", float(np.finfo(np.float32).min))


@emit.register
def _(module: nn.AvgPool2d, graph: Graph, x: int) -> int:
    if module.ceil_mode or module.divisor_override is not None:
        raise InputError("a pooling layer with ceil_mode or divisor_override cannot be written")
    window = Window(module, *graph.shape(x)[1:3])
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
        output = _write_reshape(graph, output, graph.shape(output))
    return graph.finish(output)


def nhwc(input_shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """Torch's shape without the batch, as TFLite has it with the batch."""
    if len(input_shape) != 3:
        return (batch, *input_shape)
    channels, height, width = input_shape
    return (batch, height, width, channels)
