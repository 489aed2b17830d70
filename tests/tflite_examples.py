"""Small TFLite files that tests take apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profiler.builders.tflite_graph import FILE_IDENTIFIER, Graph


def convolution(graph: Graph, x: int, out: int, *, kernel: int = 1, stride: int = 1) -> int:
    """A convolution with VALID padding and no activation."""
    n, height, width, channels = graph.shape(x)
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = stride
    weights = np.full((out, kernel, kernel, channels), 0.1, np.float32)
    inputs = [x, graph.constant(weights), graph.constant(np.ones(out, np.float32))]
    shape = (n, (height - kernel) // stride + 1, (width - kernel) // stride + 1, out)
    return graph.add("CONV_2D", inputs, shape, options)


def padded(graph: Graph, x: int, amounts: list[list[int]]) -> int:
    """A PAD of zeros."""
    shape = [size + sum(each) for size, each in zip(graph.shape(x), amounts, strict=True)]
    constant = graph.constant(np.array(amounts, np.int32))
    return graph.add("PAD", [x, constant], shape, schema.PadOptionsT())


def small(width: int = 8) -> bytes:
    """PAD and convolution, an activation, a sum, a mean and a product."""
    graph = Graph((1, 8, 8, 3))
    x = convolution(
        graph, padded(graph, graph.input, [[0, 0], [1, 1], [1, 1], [0, 0]]), width, kernel=3
    )
    x = graph.add("RELU6", [x], graph.shape(x))
    other = convolution(graph, x, width)
    x = graph.add("ADD", [x, other], graph.shape(x), schema.AddOptionsT())
    axes = graph.constant(np.array([1, 2], np.int32))
    x = graph.add("MEAN", [x, axes], (1, width), schema.ReducerOptionsT())
    weights = graph.constant(np.ones((10, width), np.float32))
    options = schema.FullyConnectedOptionsT()
    return graph.finish(graph.add("FULLY_CONNECTED", [x, weights, -1], (1, 10), options))


def changed(change: Callable[[Any], None]) -> bytes:
    """The same after something was done to its ``ModelT``."""
    model = schema.ModelT.InitFromPackedBuf(small())
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _custom(model: Any) -> None:
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexErf"


def _dynamic(model: Any) -> None:
    model.subgraphs[0].tensors[0].shapeSignature = np.array([-1, 8, 8, 3], np.int32)


def _several(model: Any) -> None:
    model.subgraphs = model.subgraphs * 2


def _quantised(model: Any) -> None:
    model.subgraphs[0].tensors[2].type = schema.TensorType.INT8


def _empty(model: Any) -> None:
    model.subgraphs[0].operators = []


BROKEN: dict[str, tuple[bytes, str]] = {
    "text": (b"hello, this is no model", "its mark is not there"),
    "no bytes": (b"", "its mark is not there"),
    "cut": (small()[: len(small()) // 2], "cannot be read"),
    "dynamic": (changed(_dynamic), "takes inputs of any size"),
    "custom": (changed(_custom), "has custom operators: FlexErf"),
    "several": (changed(_several), "has 2 subgraphs"),
    "quantised": (changed(_quantised), "holds tensors of type INT8"),
    "empty": (changed(_empty), "has nothing to run"),
}
"""Contents of files that cannot be used, and what is said of them."""
