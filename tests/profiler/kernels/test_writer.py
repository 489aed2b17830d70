"""Files of kernels: the runtime runs the very node, as often as it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from onnx import helper
from onnx_examples import model_of, residual, saved

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.host import HostDevice
from devices.runtimes.onnxruntime import session_options
from devices.target import Target
from profiler.kernels.graph import take_apart
from profiler.kernels.network_file import read_network_file
from profiler.kernels.spec import KernelSpec
from profiler.kernels.writer import (
    CONVOLUTION_BYTES,
    CROWDED_SHAPE,
    PRODUCT_BYTES,
    PRODUCT_SHAPE,
    crowded_bytes,
    crowded_product_bytes,
    input_shape,
    kernel_bytes,
)

TARGET = Target.make("cpu", "onnxruntime", {})
KEYS = [
    "onnxruntime/onnx:Relu:14/1x8x4x4>1x8x4x4/",
    "onnxruntime/onnx:Add:14/1x8x4x4,1x8x1x1>1x8x4x4/",
    "onnxruntime/onnx:Concat:13/1x8x4x4,1x4x4x4*2>1x16x4x4/axis=1",
    "onnxruntime/onnx:Split:13/1x8x4x4,wi64:2=2;6>1x2x4x4,1x6x4x4/axis=1",
    "onnxruntime/onnx:Reshape:14/1x8x4x4,wi64:2=8;16>8x16/allowzero=0",
    "onnxruntime/onnx:MatMul:13/1x4x8,1x8x4>1x4x4/",
    "onnxruntime/onnx:MatMul:13/1x4x8,w8x4>1x4x4/",
    "onnxruntime/onnx:GlobalAveragePool:1/1x8x4x4>1x8x1x1/",
    "onnxruntime/onnx:Gather:13/i64:5,w10x3>5x3/".replace("i64:5,w10x3", "10x3,i64:5"),
    "onnxruntime/onnx:Cast:13/i64:5>5/to=1",
    "onnxruntime/onnx:BatchNormalization:15/1x8x4x4,w8*4>1x8x4x4/epsilon=1e-05",
    "onnxruntime/com.microsoft:QuickGelu:1/1x8x4x4>1x8x4x4/alpha=1.0",
]


def loaded(path: Path, contents: bytes, shape: tuple[int, ...]) -> ExecutableModel:
    path.write_bytes(contents)
    return HostDevice().load(Artifact(path, "kernel", "onnx", shape, "0" * 64), TARGET)


def nodes_run(contents: bytes, folder: Path, shape: tuple[int, ...]) -> list[str]:
    """Types of the nodes that ran in one inference, by ONNX Runtime's own profile."""
    import numpy as np

    options = session_options(TARGET, optimise=False)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: np.ones(shape, np.float32)})
    events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
    return [event["args"]["op_name"] for event in events if event.get("cat") == "Node"]


@pytest.mark.parametrize("key", KEYS)
def test_a_kernel_runs_as_often_as_it_says(key: str, tmp_path: Path) -> None:
    spec = KernelSpec.parse(key)
    contents = kernel_bytes(spec)
    assert contents == kernel_bytes(spec)
    ran = nodes_run(contents, tmp_path, input_shape(spec))
    assert ran.count(spec.op_type) == spec.copies == 8
    assert len(ran) == spec.copies + 1
    model = loaded(tmp_path / "kernel.onnx", contents, input_shape(spec))
    assert len(model.time_ms(warmup=1, runs=3)) == 3
    model.close()


def test_every_kernel_of_a_network_stays_the_node_that_it_is(tmp_path: Path) -> None:
    network = read_network_file(saved(tmp_path / "net.onnx", residual()))
    for kernel in take_apart(network, HostDevice(), TARGET):
        assert kernel.spec is not None
        ran = nodes_run(kernel_bytes(kernel.spec), tmp_path, input_shape(kernel.spec))
        assert ran.count(kernel.spec.op_type) == kernel.spec.copies


def test_the_runtime_leaves_a_marked_file_as_it_stands(tmp_path: Path) -> None:
    """A plain convolution would be turned into another one, between two changes of layout."""
    key = "onnxruntime/onnx:Conv:11/1x16x8x8,w16x16x3x3>1x16x8x8/pads=[1;1;1;1]"
    spec = KernelSpec.parse(key)
    marked = kernel_bytes(spec)
    model = onnx.load_model_from_string(marked)
    del model.metadata_props[:]
    plain = model.SerializeToString()
    assert onnx.load_model_from_string(marked).graph == onnx.load_model_from_string(plain).graph
    as_it_stands = loaded(tmp_path / "marked.onnx", marked, input_shape(spec))
    optimised = loaded(tmp_path / "plain.onnx", plain, input_shape(spec))
    took = {
        name: min(each.time_ms(warmup=3, runs=20))
        for name, each in (("marked", as_it_stands), ("plain", optimised))
    }
    # Optimised, the copies whose output nobody takes are gone.
    assert took["plain"] < took["marked"]


def test_what_is_written_over_comes_from_the_copy_before(tmp_path: Path) -> None:
    key = "onnxruntime/com.microsoft:FusedConv:1/1x4x4x4,w4x4x1x1,w4,1x4x4x4>1x4x4x4/"
    model = onnx.load_model_from_string(kernel_bytes(KernelSpec.parse(key)))
    convolutions = [node for node in model.graph.node if node.op_type == "FusedConv"]
    assert [node.input[0] for node in convolutions] == ["x"] * 8
    assert [node.input[3] for node in convolutions][1:] == [f"out{i}_0" for i in range(7)]
    assert len({node.input[1] for node in convolutions}) == 8


def test_the_file_without_a_kernel_runs_next_to_nothing(tmp_path: Path) -> None:
    assert nodes_run(kernel_bytes(None), tmp_path, input_shape(None)) == ["Identity"]


def test_a_file_of_convolutions_holds_the_weights_that_it_says(tmp_path: Path) -> None:
    contents = crowded_bytes(3)
    assert 3 * CONVOLUTION_BYTES < len(contents) < 3.1 * CONVOLUTION_BYTES
    model = loaded(tmp_path / "crowded.onnx", contents, CROWDED_SHAPE)
    assert min(model.time_ms(warmup=0, runs=2)) > 0
    model.close()


def test_a_file_of_products_holds_the_weights_that_it_says(tmp_path: Path) -> None:
    contents = crowded_product_bytes(2)
    assert 2 * PRODUCT_BYTES < len(contents) < 2.1 * PRODUCT_BYTES
    model = loaded(tmp_path / "products.onnx", contents, PRODUCT_SHAPE)
    assert min(model.time_ms(warmup=0, runs=2)) > 0
    model.close()


def test_a_plain_model_is_still_optimised(tmp_path: Path) -> None:
    """Only the mark keeps the graph: a file that merely has metadata is like any other."""
    model = model_of([helper.make_node("Relu", ["x"], ["out"])])
    helper.set_model_props(model, {"author": "somebody"})
    loaded(tmp_path / "net.onnx", model.SerializeToString(), (1, 16, 8, 8)).close()
