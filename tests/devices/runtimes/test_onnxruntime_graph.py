"""What ONNX Runtime makes of a graph, and the shapes in it."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_examples import model_of, residual

from devices.base import Tensor
from devices.errors import ArtifactError
from devices.runtimes.onnxruntime_graph import observed_tensors, optimised_graph
from devices.target import Target

TARGET = Target.make("cpu", "onnxruntime", {})


def test_the_optimised_graph_has_what_was_fused() -> None:
    contents = optimised_graph(residual().SerializeToString(), TARGET, "net")
    types = [node.op_type for node in onnx.load_model_from_string(contents).graph.node]
    assert "Add" not in types
    assert types.count("Relu") == 0
    assert sum("Conv" in each for each in types) == 2


def test_a_file_that_is_no_model_is_refused_by_its_name() -> None:
    with pytest.raises(ArtifactError, match=r"cannot load net\.onnx"):
        optimised_graph(b"nothing", TARGET, "net.onnx")


def test_tensors_are_observed_as_they_are() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Shape", ["x"], ["out"]),
    ]
    model = model_of(nodes, shape=(1, 3, 5))
    model.graph.output.append(onnx.ValueInfoProto(name="y"))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    found = observed_tensors(model.SerializeToString(), TARGET, "net")
    assert found == {"y": Tensor("float32", (1, 3, 5)), "out": Tensor("int64", (3,))}


def test_a_model_that_does_not_run_is_refused_in_one_line() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "z", "z"], ["e"]),
        helper.make_node("Reshape", ["x", "e"], ["out"]),
    ]
    zero = helper.make_tensor("z", TensorProto.INT64, [1], [0])
    contents = model_of(nodes, [zero], shape=(1, 3)).SerializeToString()
    with pytest.raises(ArtifactError, match="net loaded but did not run") as caught:
        observed_tensors(contents, TARGET, "net")
    assert "\n" not in str(caught.value)


def test_an_input_of_any_size_cannot_be_made_up() -> None:
    contents = model_of(
        [helper.make_node("Relu", ["x"], ["out"])], shape=("n", 3)
    ).SerializeToString()
    with pytest.raises(ArtifactError, match="its input x is of type"):
        observed_tensors(contents, TARGET, "net")
