"""ONNX Runtime: computes what torch computes, and refuses what is not a whole model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from devices.artifact import Artifact
from devices.errors import ArtifactError, InputError, MeasurementError
from devices.runtimes.base import example_input
from devices.runtimes.onnxruntime import OnnxRuntime
from devices.target import Target
from profiler.builders.export import onnx_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
TARGET = Target.make("cpu", "onnxruntime", {})


@pytest.fixture(scope="module")
def whole() -> bytes:
    torch.manual_seed(0)
    return onnx_bytes(build_op(SPEC).eval(), SPEC.input_shape)


def written(path: Path, contents: bytes, shape: tuple[int, ...] = (1, 4, 6, 6)) -> Artifact:
    path.write_bytes(contents)
    return Artifact(path, "some/op", "onnx", shape, "0" * 64)


def model_of(
    inputs: Sequence[tuple[str, int]], node: onnx.NodeProto, kind: int = TensorProto.FLOAT
) -> bytes:
    """A model of one node whose output is ``out``; every input of shape ``(1, 4)``."""
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info(name, each, [1, 4]) for name, each in inputs],
        [helper.make_tensor_value_info("out", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


RELU = helper.make_node("Relu", ["x"], ["out"])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_computes_what_torch_computes(tmp_path: Path, threads: int, batch: int) -> None:
    torch.manual_seed(0)
    module = build_op(SPEC).eval()
    shape = (batch, *SPEC.input_shape)
    artifact = written(tmp_path / "m.onnx", onnx_bytes(module, SPEC.input_shape, batch), shape)
    target = Target.make("cpu", "onnxruntime", {"threads": threads, "batch": batch})
    inputs = example_input(shape)
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    model = OnnxRuntime().load(artifact, target)
    assert np.allclose(model.run(inputs), expected, atol=1e-5)
    assert len(model.time_ms(warmup=1, runs=2)) == 2
    assert np.allclose(model.run(inputs), expected, atol=1e-5)


def test_the_version_is_the_installed_one() -> None:
    assert OnnxRuntime().version() == onnxruntime.__version__


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, whole: bytes, kept: float) -> None:
    artifact = written(tmp_path / "cut.onnx", whole[: int(len(whole) * kept)])
    with pytest.raises(ArtifactError, match=r"cannot load cut\.onnx \(some/op\)") as caught:
        OnnxRuntime().load(artifact, TARGET)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("contents", [b"hello", b"\x00" * 1000, b"PK\x03\x04", b"\xff" * 64])
def test_another_kind_of_file_is_refused(tmp_path: Path, contents: bytes) -> None:
    with pytest.raises(ArtifactError):
        OnnxRuntime().load(written(tmp_path / "m.onnx", contents), TARGET)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(
    tmp_path_factory: pytest.TempPathFactory, contents: bytes
) -> None:
    artifact = written(tmp_path_factory.mktemp("garbage") / "m.onnx", contents)
    with pytest.raises(ArtifactError):
        OnnxRuntime().load(artifact, TARGET)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.onnx", tmp_path):
        with pytest.raises(ArtifactError):
            OnnxRuntime().load(Artifact(path, "op", "onnx", (1, 4), "0" * 64), TARGET)


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (model_of([], helper.make_node("Constant", [], ["out"], value_floats=[1.0])), "none"),
        (
            model_of(
                [("x", TensorProto.FLOAT), ("y", TensorProto.FLOAT)],
                helper.make_node("Add", ["x", "y"], ["out"]),
            ),
            r"x: tensor\(float\), y: tensor\(float\)",
        ),
        (
            model_of(
                [("x", TensorProto.INT64)],
                helper.make_node("Identity", ["x"], ["out"]),
                TensorProto.INT64,
            ),
            r"x: tensor\(int64\)",
        ),
        (model_of([("x", TensorProto.FLOAT)], helper.make_node("Nope", ["x"], ["out"])), "Nope"),
    ],
    ids=["no input", "two inputs", "whole numbers", "unknown op"],
)
def test_a_model_that_cannot_be_timed_is_refused(
    tmp_path: Path, contents: bytes, reason: str
) -> None:
    with pytest.raises(ArtifactError, match=reason):
        OnnxRuntime().load(written(tmp_path / "m.onnx", contents, (1, 4)), TARGET)


def test_a_model_that_does_not_run_is_a_measurement_error(tmp_path: Path) -> None:
    contents = model_of([("x", TensorProto.FLOAT)], RELU)
    model = OnnxRuntime().load(written(tmp_path / "m.onnx", contents, (1, 5)), TARGET)
    with pytest.raises(MeasurementError, match="some/op loaded but did not run") as caught:
        model.time_ms(warmup=0, runs=1)
    assert len(str(caught.value).splitlines()) == 1


def test_nothing_is_said_on_the_terminal(
    tmp_path: Path, whole: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for contents in (b"hello", whole[:-50]):
        with pytest.raises(ArtifactError):
            OnnxRuntime().load(written(tmp_path / "m.onnx", contents), TARGET)
    model = OnnxRuntime().load(written(tmp_path / "m.onnx", whole), TARGET)
    model.time_ms(warmup=1, runs=1)
    model.close()
    assert capfd.readouterr() == ("", "")


INT8 = Target.make("cpu", "onnxruntime", {"precision": "int8"})


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.UINT8])
def test_a_model_of_bytes_is_timed_and_without_scales_not_run(tmp_path: Path, kind: int) -> None:
    contents = model_of([("x", kind)], helper.make_node("Identity", ["x"], ["out"]), kind)
    model = OnnxRuntime().load(written(tmp_path / "m.onnx", contents, (1, 4)), INT8)
    assert len(model.time_ms(warmup=1, runs=2)) == 2
    with pytest.raises(InputError, match="can be timed, but not run"):
        model.run(np.zeros((1, 4), np.float32))


def test_a_model_of_another_precision_than_the_targets_is_refused(
    tmp_path: Path, whole: bytes
) -> None:
    with pytest.raises(ArtifactError, match="a model with one int8 or uint8 input"):
        OnnxRuntime().load(written(tmp_path / "float.onnx", whole), INT8)
    kind = TensorProto.UINT8
    contents = model_of([("x", kind)], helper.make_node("Identity", ["x"], ["out"]), kind)
    with pytest.raises(ArtifactError, match="a model with one float32 input"):
        OnnxRuntime().load(written(tmp_path / "bytes.onnx", contents, (1, 4)), TARGET)
