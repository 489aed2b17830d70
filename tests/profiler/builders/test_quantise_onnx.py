"""ONNX files in int8: close to the float model, computed on bytes, and never in float unsaid."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from op_examples import KEYS, inputs, trained
from torch import nn

from devices.artifact import Artifact
from devices.errors import ArtifactError
from devices.runtimes.onnxruntime import OnnxRuntime
from devices.target import Target
from profiler.builders.export import onnx_bytes
from profiler.builders.modules import build_chain, build_op
from profiler.builders.quantise_onnx import int8_onnx_bytes
from profiler.ops import OpSpec

TARGET = Target.make("cpu", "onnxruntime", {"precision": "int8"})
CHAIN = [
    "conv/3x32x32/out=8,kernel=3,stride=2",
    "mbconv/8x16x16/out=8,kernel=3,expand=3",
    "max_pool/8x16x16/kernel=3",
    "mbconv/8x16x16/out=12,kernel=5,stride=2,expand=6",
    "conv/12x8x8/out=20,kernel=1",
    "global_avg_pool/20x8x8/",
    "linear/20/out=10",
]


def quantised(module: nn.Module, shape: tuple[int, ...], batch: int = 1) -> bytes:
    return int8_onnx_bytes(onnx_bytes(module, shape, batch), [inputs(shape, batch).numpy()])[0]


def check_close(tmp_path: Path, module: nn.Module, shape: tuple[int, ...], batch: int) -> None:
    """The outputs point the same way as torch's: a cosine of 0.98 at the least."""
    x = inputs(shape, batch)
    with torch.inference_mode():
        expected = module(x).numpy()
    contents, input_shape = int8_onnx_bytes(onnx_bytes(module, shape, batch), [x.numpy()])
    path = tmp_path / "op.onnx"
    path.write_bytes(contents)
    model = OnnxRuntime().load(Artifact(path, "op", "onnx", input_shape, "0" * 64), TARGET)
    is_turned = "Conv" in {node.op_type for node in onnx.load_from_string(contents).graph.node}
    given = model.run(np.moveaxis(x.numpy(), 1, -1) if is_turned else x.numpy())
    if is_turned and given.ndim == 4:
        given = np.moveaxis(given, -1, 1)
    assert given.shape == expected.shape
    assert given.dtype == np.float32
    if not expected.any():
        assert not given.any()
        return
    product = float((given * expected).sum())
    assert product > 0.98 * float(np.linalg.norm(given)) * float(np.linalg.norm(expected))
    assert np.abs(given - expected).max() < 0.1 * np.abs(expected).max()


def optimised(contents: bytes, folder: Path) -> onnx.ModelProto:
    """The graph that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("key", KEYS)
def test_an_op_is_close_to_the_float_op(tmp_path: Path, key: str, batch: int) -> None:
    spec = OpSpec.parse(key)
    check_close(tmp_path, trained(build_op(spec)), spec.input_shape, batch)


def test_a_network_is_close_to_the_float_network(tmp_path: Path) -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    check_close(tmp_path, trained(build_chain(specs)), specs[0].input_shape, 2)


@pytest.mark.parametrize("key", KEYS)
def test_nothing_is_computed_in_float(tmp_path: Path, key: str) -> None:
    spec = OpSpec.parse(key)
    model = optimised(quantised(trained(build_op(spec)), spec.input_shape), tmp_path)
    ends = (model.graph.input[0], model.graph.output[0])
    assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.UINT8}
    takers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, set()).add(node.op_type)
    # Bytes become floats nowhere but to be given another scale.
    for node in model.graph.node:
        assert node.op_type != "Cast"
        if node.op_type == "DequantizeLinear":
            assert takers[node.output[0]] == {"QuantizeLinear"}


def test_an_op_is_timed_without_what_a_network_does_once_at_its_borders(tmp_path: Path) -> None:
    spec = OpSpec.parse("mbconv/8x16x16/out=8,kernel=3,expand=6")
    model = optimised(quantised(trained(build_op(spec)), spec.input_shape), tmp_path)
    assert operators(model) == {"QLinearConv": 3, "QLinearAdd": 1}


def test_a_network_has_the_kernels_of_its_ops_and_nothing_between_them(tmp_path: Path) -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    model = optimised(quantised(trained(build_chain(specs)), specs[0].input_shape), tmp_path)
    # The one turn left is of the averages, one pixel each.
    assert operators(model) == {
        "QLinearConv": 8,
        "QLinearAdd": 1,
        "NhwcMaxPool": 1,
        "QLinearGlobalAveragePool": 1,
        "Transpose": 1,
        "Flatten": 1,
        "QGemm": 1,
    }


def test_the_same_model_gives_the_same_file() -> None:
    spec = OpSpec.parse("mbconv/8x16x16/out=8,kernel=3,expand=6")
    module = trained(build_op(spec))
    assert quantised(module, spec.input_shape) == quantised(module, spec.input_shape)


def test_an_operator_without_a_kernel_on_bytes_is_refused() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Sin", ["input"], ["output"])],
            "graph",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(ArtifactError, match="Sin cannot be quantised to int8"):
        int8_onnx_bytes(model.SerializeToString(), [np.ones((1, 4), np.float32)])
