"""Torch module to model file. ONNX is written directly: batch norm folded, no exporter.

Half a millisecond a block, against 19 ms to 0.9 s of the exporters of torch, with the same graph.
Modules that are not ours are added with ``emit.register``.
"""

from __future__ import annotations

import copy
import io
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
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

OPSET = 17
IR_VERSION = 8
INPUT_NAME = "input"
OUTPUT_NAME = "output"
_SHAPE_BYTES = 256  # more than any constant that a shape depends on
# What the code of a module may raise while it is traced; torch's own errors are RuntimeErrors.
_TRACING_ERRORS = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
)


class GraphWriter:
    """Nodes and weights of an ONNX graph under construction, of a fixed batch size."""

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, array: npt.NDArray[np.generic]) -> str:
        """Add a constant and return its name."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output and return that output's name."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        return output


def _write_conv(graph: GraphWriter, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> str:
    weight, bias = fold(conv, norm)
    # fold() has refused padding given by name.
    padding = [int(pixels) for pixels in conv.padding]
    return graph.node(
        "Conv",
        x,
        graph.weight(weight),
        graph.weight(bias),
        kernel_shape=list(conv.kernel_size),
        strides=list(conv.stride),
        pads=[*padding, *padding],
        dilations=list(conv.dilation),
        group=conv.groups,
    )


@singledispatch
def emit(module: nn.Module, graph: GraphWriter, x: str) -> str:
    """Write a module whose input is the tensor named ``x``; return the name of its output.

    Raises:
        InputError: a module no writer is registered for.
    """
    raise InputError(
        f"{type(module).__name__} cannot be written to ONNX",
        "no writer is registered for it",
        "register one with profiler.builders.export.emit.register",
    )


def write(module: nn.Module, graph: GraphWriter, x: str) -> str:
    """:func:`emit`, for a module that computes what its writer thinks it does.

    Raises:
        InputError: no writer, or a subclass with a ``forward`` of its own.
    """
    check_forward(module, emit.registry, "ONNX")
    return emit(module, graph, x)


@emit.register
def _(module: nn.Sequential, graph: GraphWriter, x: str) -> str:
    children = list(module)
    i = 0
    while i < len(children):
        child = children[i]
        follower = children[i + 1] if i + 1 < len(children) else None
        if type(child) is nn.Conv2d:
            norm = follower if isinstance(follower, nn.BatchNorm2d) else None
            x = _write_conv(graph, x, child, norm)
            i += 1 if norm is None else 2
        else:
            x = write(child, graph, x)
            i += 1
    return x


@emit.register
def _(module: nn.Conv2d, graph: GraphWriter, x: str) -> str:
    return _write_conv(graph, x, module, None)


@emit.register
def _(module: MBConv, graph: GraphWriter, x: str) -> str:
    out = write(module.layers, graph, x)
    return graph.node("Add", x, out) if module.has_residual else out


@emit.register
def _(module: ResidualBlock, graph: GraphWriter, x: str) -> str:
    shortcut = write(module.shortcut, graph, x)
    return graph.node("Add", shortcut, write(module.layers, graph, x))


@emit.register
def _(module: SumWithConstants, graph: GraphWriter, x: str) -> str:
    for constant in module.constants(graph.batch):
        x = graph.node("Add", x, graph.weight(as_array(constant)))
    return x


@emit.register
def _(module: SumGraph, graph: GraphWriter, x: str) -> str:
    nodes = {0: x}
    for (before, after), part in module.shipped():
        given = write(part, graph, nodes[before])
        nodes[after] = graph.node("Add", nodes[after], given) if after in nodes else given
    return nodes[module.last] if len(nodes) > 1 else write(Zero(stride=1), graph, x)


@emit.register
def _(module: nn.BatchNorm2d, graph: GraphWriter, x: str) -> str:
    scale, shift = scale_and_shift(module)
    still = np.zeros_like(scale), np.ones_like(scale)
    # The statistics are in the scale and the shift already, where they were not rounded.
    weights = (graph.weight(array) for array in (scale, shift, *still))
    return graph.node("BatchNormalization", x, *weights, epsilon=0.0)


@emit.register
def _(module: ChannelShuffle, graph: GraphWriter, x: str) -> str:
    # One node that copies whole channels, where reshape, transpose, reshape are three.
    order = np.arange(module.channels).reshape(module.groups, -1).T.reshape(-1)
    return graph.node("Gather", x, graph.weight(order), axis=1)


@emit.register
def _(module: nn.ReLU, graph: GraphWriter, x: str) -> str:
    return graph.node("Relu", x)


@emit.register
def _(module: nn.ReLU6, graph: GraphWriter, x: str) -> str:
    low, high = (graph.weight(np.array(bound, np.float32)) for bound in (0, 6))
    return graph.node("Clip", x, low, high)


@emit.register
def _(module: nn.Hardswish, graph: GraphWriter, x: str) -> str:
    return graph.node("HardSwish", x)


@emit.register
def _(module: nn.Hardsigmoid, graph: GraphWriter, x: str) -> str:
    return graph.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@emit.register
def _(module: SqueezeExcite, graph: GraphWriter, x: str) -> str:
    gate = write(module.gate, graph, graph.node("GlobalAveragePool", x))
    return graph.node("Mul", x, gate)


@emit.register
def _(module: nn.Linear, graph: GraphWriter, x: str) -> str:
    inputs = [x, graph.weight(as_array(module.weight))]
    if module.bias is not None:
        inputs.append(graph.weight(as_array(module.bias)))
    return graph.node("Gemm", *inputs, transB=1)


@emit.register
def _(module: GlobalAvgPool, graph: GraphWriter, x: str) -> str:
    return graph.node("Flatten", graph.node("GlobalAveragePool", x), axis=1)


_Size = int | tuple[int, ...]


def _pair(value: _Size) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _window(kernel: _Size, stride: _Size, padding: _Size) -> dict[str, list[int]]:
    """The attributes of a pooling node."""
    return {
        "kernel_shape": _pair(kernel),
        "strides": _pair(stride),
        "pads": [*_pair(padding), *_pair(padding)],
    }


@emit.register
def _(module: nn.AvgPool2d, graph: GraphWriter, x: str) -> str:
    if module.ceil_mode or module.divisor_override is not None:
        raise InputError("a pooling layer with ceil_mode or divisor_override cannot be written")
    window = _window(module.kernel_size, module.stride, module.padding)
    counted = int(module.count_include_pad)
    return graph.node("AveragePool", x, **window, count_include_pad=counted)


@emit.register
def _(module: nn.MaxPool2d, graph: GraphWriter, x: str) -> str:
    if module.ceil_mode or module.return_indices:
        raise InputError("a pooling layer with ceil_mode or return_indices cannot be written")
    window = _window(module.kernel_size, module.stride, module.padding)
    return graph.node("MaxPool", x, **window, dilations=_pair(module.dilation))


@emit.register
def _(module: nn.Identity, graph: GraphWriter, x: str) -> str:
    return x


@emit.register
def _(module: Zero, graph: GraphWriter, x: str) -> str:
    if module.stride > 1:
        starts, ends = np.array([0, 0]), np.array([np.iinfo(np.int64).max] * 2)
        axes, steps = np.array([2, 3]), np.array([module.stride] * 2)
        x = graph.node("Slice", x, *(graph.weight(a) for a in (starts, ends, axes, steps)))
    shape = graph.node("Shape", x)
    zero = numpy_helper.from_array(np.zeros(1, np.float32))
    return graph.node("ConstantOfShape", shape, value=zero)


def onnx_bytes(module: nn.Module, input_shape: tuple[int, ...], batch: int = 1) -> bytes:
    """The ONNX file of a module in evaluation mode.

    Args:
        module: built from the vocabulary, or with writers registered for its parts.
        input_shape: ``(channels, height, width)`` or ``(features,)``, without the batch.
        batch: fixed batch size of the graph's input.

    Returns:
        A checked, serialised ``ModelProto`` with one input ``input`` and one output ``output``.

    Raises:
        InputError: a module that cannot be written.
    """
    graph = GraphWriter(batch)
    result = write(module, graph, INPUT_NAME)
    if not graph.nodes or graph.nodes[-1].output[0] != result:
        graph.node("Identity", result)
    graph.nodes[-1].output[0] = OUTPUT_NAME
    proto = helper.make_graph(
        graph.nodes,
        type(module).__name__,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [batch, *input_shape])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, None)],
        graph.weights,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lutier",
    )
    _infer_shapes(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _infer_shapes(model: onnx.ModelProto) -> None:
    """Fill in the shapes of all tensors of a model; errors where they do not fit.

    No shape depends on what is in a large weight, and copying all of them to the checker and back
    takes longer than all else: it is shown a model that is given them as inputs.
    """
    graph, shown = model.graph, onnx.ModelProto()
    shown.ir_version = model.ir_version
    shown.opset_import.extend(model.opset_import)
    shown.graph.name = graph.name
    for ours, theirs in ((graph.node, shown.graph.node), (graph.output, shown.graph.output)):
        theirs.extend(ours)
    shown.graph.input.extend(graph.input)
    for weight in graph.initializer:
        if len(weight.raw_data) > _SHAPE_BYTES:
            given = helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            shown.graph.input.append(given)
        else:
            shown.graph.initializer.append(weight)
    shown = onnx.shape_inference.infer_shapes(shown, check_type=True, strict_mode=True)
    for name in ("value_info", "output"):
        graph.ClearField(name)
        getattr(graph, name).extend(getattr(shown.graph, name))


def torch_export_bytes(module: nn.Module, input_shape: tuple[int, ...], batch: int = 1) -> bytes:
    """The exported torch program of a module in evaluation mode.

    Args:
        module: any module ``torch.export`` can trace.
        input_shape: ``(channels, height, width)`` or ``(features,)``, without the batch.
        batch: fixed batch size.

    Returns:
        A ``.pt2`` archive, as ``torch.export.save`` writes it.

    Raises:
        InputError: a module that ``torch.export`` cannot trace or write.
    """
    buffer = io.BytesIO()
    try:
        with torch.no_grad():
            program = torch.export.export(
                _for_batch(module.eval(), batch), (torch.zeros(batch, *input_shape),)
            )
        torch.export.save(program, buffer)
    except _TRACING_ERRORS as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise InputError(
            f"{type(module).__name__} cannot be exported by torch.export",
            f"{type(error).__name__}: {lines[0][:200]}",
            "measure it on another runtime, or rewrite its forward without branches on values",
        ) from error
    return buffer.getvalue()


def _for_batch(module: nn.Module, batch: int) -> nn.Module:
    """The module, or a copy with the constants of its sums as large as the batch."""
    if batch == 1 or not any(isinstance(part, SumWithConstants) for part in module.modules()):
        return module
    if isinstance(module, SumWithConstants):
        return module.with_batch(batch)
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, SumWithConstants):
                setattr(parent, name, child.with_batch(batch))
    return module
