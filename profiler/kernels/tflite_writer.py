"""A TFLite file that runs one kernel, several times over."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devices.errors import InputError
from profiler.builders.tflite_graph import Graph
from profiler.kernels.spec import KernelSpec, Operand
from profiler.kernels.tflite_kernels import OPTIONS, PADS
from profiler.kernels.writer import Values, fed_input, input_shape

_CHANNELS, _PIXELS, _FEATURES = 256, 4, 512
CROWDED_SHAPE = (1, _PIXELS, _PIXELS, _CHANNELS)
"""Input of :func:`crowded_tflite_bytes`; each convolution has as many weights as one of ONNX."""
PRODUCT_SHAPE = (1, _FEATURES)
"""Input of :func:`crowded_product_tflite_bytes`."""


def kernel_tflite_bytes(spec: KernelSpec | None) -> bytes:
    """A TFLite file that runs a kernel :attr:`~KernelSpec.copies` times, each with own weights.

    The outputs of all copies are outputs of the file: XNNPACK leaves out what nobody takes.

    Args:
        spec: what to run; None for the file of one activation of one number, which shows what a
            call costs.

    Returns:
        The file. Its one input is float32, of the shape that
        :func:`profiler.kernels.writer.input_shape` gives; what else other nodes would make are
        tensors of zeros that are no constants. Weights are drawn from a seed made of the key;
        constants that say what is to be done have their own values.

    Raises:
        InputError: an operator or options that TFLite does not have.
    """
    graph = Graph(input_shape(spec))
    if spec is None:
        return graph.finish(graph.add("RELU", [graph.input], (1,)))
    if not hasattr(schema.BuiltinOperator, spec.op_type):
        raise InputError(f"TFLite has no operator {spec.op_type[:80]}")
    draw = Values(np.random.default_rng(zlib.crc32(spec.key.encode())))
    fed = fed_input(spec)
    given: dict[int, int] = {}
    for i, operand in enumerate(spec.inputs):
        if i == fed:
            given[i] = graph.input
        elif operand is None:
            given[i] = -1
        elif operand.values:
            given[i] = graph.constant(draw.of(operand))
        elif not operand.is_weight:
            given[i] = graph.variable(operand.shape, np.dtype(operand.type_name))
    kept: list[int] = []
    for _ in range(spec.copies):
        inputs = [
            given[i] if i in given or operand is None else graph.constant(draw.of(operand))
            for i, operand in enumerate(spec.inputs)
        ]
        kept += _add(graph, spec, inputs)
    return graph.finish(*kept)


def _add(graph: Graph, spec: KernelSpec, inputs: list[int]) -> list[int]:
    pads = spec.attribute(PADS, ())
    if isinstance(pads, tuple) and pads:
        inputs = [_padded(graph, inputs[0], pads), *inputs[1:]]
    outputs = [_end(each) for each in spec.outputs if each is not None]
    return graph.node(spec.op_type, inputs, outputs, _options(spec), spec.version)


def _end(operand: Operand) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return operand.shape, np.dtype(operand.type_name)


def _padded(graph: Graph, x: int, pads: tuple[Any, ...]) -> int:
    if len(pads) != 4 or len(graph.shape(x)) != 4:
        raise InputError(f"pads of {len(pads)} numbers", "top, left, bottom and right are four")
    top, left, bottom, right = (int(each) for each in pads)
    amounts = graph.constant(
        np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32),
    )
    n, height, width, channels = graph.shape(x)
    shape = (n, height + top + bottom, width + left + right, channels)
    return graph.add("PAD", [x, amounts], shape, schema.PadOptionsT())


def _options(spec: KernelSpec) -> Any:
    """The options of a kernel's operator; None where it has none."""
    name = spec.attribute(OPTIONS, "")
    if not name:
        return None
    if not isinstance(name, str) or not hasattr(schema.BuiltinOptions, name):
        raise InputError(f"TFLite has no options {str(name)[:80]}")
    options = getattr(schema, f"{name}T")()
    for field, value in spec.attributes:
        if field in (OPTIONS, PADS):
            continue
        if field not in vars(options):
            raise InputError(f"{name} of TFLite have no {field[:80]}")
        setattr(options, field, list(value) if isinstance(value, tuple) else value)
    return options


def crowded_tflite_bytes(convolutions: int) -> bytes:
    """The file of :func:`profiler.kernels.writer.crowded_bytes`, for LiteRT.

    Args:
        convolutions: how many; the input is of shape :data:`CROWDED_SHAPE`.
    """
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    return _chain("CONV_2D", convolutions, (_CHANNELS, 1, 1, _CHANNELS), CROWDED_SHAPE, options)


def crowded_product_tflite_bytes(products: int) -> bytes:
    """The same of products of a matrix and a vector, which read their weights in one go.

    Args:
        products: how many; the input is of shape :data:`PRODUCT_SHAPE`.
    """
    options = schema.FullyConnectedOptionsT()
    return _chain("FULLY_CONNECTED", products, (_FEATURES, _FEATURES), PRODUCT_SHAPE, options)


def _chain(
    operator: str, count: int, weights: tuple[int, ...], shape: tuple[int, ...], options: Any
) -> bytes:
    """A file of one operator after the other, each with weights of its own."""
    generator = np.random.default_rng(0)
    graph = Graph(shape)
    x = graph.input
    bias = graph.constant(np.zeros(weights[0], np.float32))
    for _ in range(count):
        values = generator.standard_normal(weights, np.float32) * np.float32(weights[-1]) ** -0.5
        x = graph.add(operator, [x, graph.constant(values), bias], shape, options)
    return graph.finish(x)
