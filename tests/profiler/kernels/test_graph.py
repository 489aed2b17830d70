"""Networks are taken apart into the nodes that the runtime makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_examples import model_of, residual, saved

from devices.errors import ArtifactError, InputError
from devices.host import HostDevice
from devices.target import Target
from profiler.kernels.graph import Kernel, take_apart
from profiler.kernels.network_file import read_network_file
from profiler.kernels.spec import KernelSpec

TARGET = Target.make("cpu", "onnxruntime", {})


def apart(path: Path, model: onnx.ModelProto) -> list[Kernel]:
    return take_apart(read_network_file(saved(path, model)), HostDevice(), TARGET)


def test_the_kernels_are_the_nodes_of_the_optimised_graph(tmp_path: Path) -> None:
    kernels = apart(tmp_path / "net.onnx", residual())
    specs = [kernel.spec for kernel in kernels if kernel.spec]
    assert len(specs) == len(kernels)
    convolutions = [spec for spec in specs if "Conv" in spec.op_type]
    assert [spec.attribute("activation", "") for spec in convolutions] == ["Relu", "Relu"]
    # The sum is a part of the second one.
    assert [len(spec.inputs) for spec in convolutions] == [3, 4]
    assert {spec.op_type for spec in specs} >= {"GlobalAveragePool", "Gemm"}
    assert specs[-1].outputs[0] is not None
    assert specs[-1].outputs[0].shape == (1, 10)
    assert all(KernelSpec.parse(spec.key) == spec for spec in specs)


def test_networks_of_other_opsets_have_the_same_kernels(tmp_path: Path) -> None:
    older, newer = (apart(tmp_path / f"{n}.onnx", residual(opset=n)) for n in (14, 17))
    assert [kernel.spec for kernel in older] == [kernel.spec for kernel in newer]


def test_what_says_what_is_to_be_done_stands_in_the_key(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 2, 8, 8, 8]), "shape")
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
        helper.make_node("Transpose", ["y"], ["out"], perm=[0, 2, 1, 3, 4]),
    ]
    reshape, transpose = apart(tmp_path / "net.onnx", model_of(nodes, [shape]))
    assert reshape.spec is not None
    assert reshape.spec.inputs[1] is not None
    assert reshape.spec.inputs[1].values == (1, 2, 8, 8, 8)
    assert transpose.spec is not None
    assert dict(transpose.spec.attributes) == {"perm": (0, 2, 1, 3, 4)}


def test_a_node_that_holds_a_graph_is_no_kernel_and_says_so(tmp_path: Path) -> None:
    def branch(name: str, kind: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(kind, ["x"], ["b"])], name, [], [out])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["condition"], to=onnx.TensorProto.BOOL),
        helper.make_node(
            "If",
            ["condition"],
            ["out"],
            then_branch=branch("yes", "Relu"),
            else_branch=branch("no", "Exp"),
        ),
    ]
    (found,) = (k for k in apart(tmp_path / "net.onnx", model_of(nodes)) if k.kind == "onnx:If")
    assert found.spec is None
    assert "attribute" in found.objection


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([helper.make_node("Bogus", ["x"], ["out"])], "Bogus"),
        (
            [
                helper.make_node("Add", ["x", "b"], ["a"]),
                helper.make_node("Relu", ["a"], ["b"]),
                helper.make_node("Relu", ["b"], ["out"]),
            ],
            "acyclic",
        ),
    ],
    ids=["an operator that there is not", "a cycle"],
)
def test_a_network_that_does_not_load_is_refused_in_one_line(
    nodes: list[onnx.NodeProto], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=said) as caught:
        apart(tmp_path / "net.onnx", model_of(nodes))
    assert "net.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_runtime_that_does_not_show_its_graph_is_refused(tmp_path: Path) -> None:
    network = read_network_file(saved(tmp_path / "net.onnx", residual()))
    with pytest.raises(InputError, match="torch does not show the kernels"):
        take_apart(network, HostDevice(), Target.make("cpu", "torch", {}))
