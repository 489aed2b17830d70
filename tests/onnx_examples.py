"""Small ONNX files of networks that nobody has: to be taken apart, and to be refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 16, 8, 8)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[TensorProto] = (),
    *,
    shape: Sequence[int | str] = SHAPE,
    out: str = "out",
    opset: int = 17,
) -> onnx.ModelProto:
    """A model from ``x`` of a shape to ``out``."""
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weight(name: str, *shape: int) -> TensorProto:
    values = np.random.default_rng(0).standard_normal(shape, np.float32) / 10
    return numpy_helper.from_array(values, name)


def residual(channels: int = 16, *, opset: int = 17) -> onnx.ModelProto:
    """Two convolutions whose output is added to the input; then the mean and a classifier."""
    node = helper.make_node
    sides: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["x", "w0", "b"], ["c0"], **sides),
        node("Relu", ["c0"], ["r0"]),
        node("Conv", ["r0", "w1", "b"], ["c1"], **sides),
        node("Add", ["c1", "r0"], ["s"]),
        node("Relu", ["s"], ["r1"]),
        node("GlobalAveragePool", ["r1"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w2"], ["out"], transB=1),
    ]
    weights = [
        weight("w0", channels, 16, 3, 3),
        weight("w1", channels, channels, 3, 3),
        weight("w2", 10, channels),
        weight("b", channels),
    ]
    return model_of(nodes, weights, opset=opset)


def saved(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
