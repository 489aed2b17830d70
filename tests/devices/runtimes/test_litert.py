"""LiteRT: computes what torch computes, and refuses what is not a whole model."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.errors import ArtifactError, MissingExtraError
from devices.runtimes import litert
from devices.runtimes.litert import LiteRt
from devices.target import Target
from profiler.builders.modules import build_op
from profiler.builders.quantise_tflite import int8_tflite_bytes
from profiler.builders.tflite import tflite_bytes
from profiler.ops import OpSpec

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
TARGET = Target.make("cpu", "litert", {})
SHAPE = (1, 6, 6, 4)


@pytest.fixture(scope="module")
def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_op(SPEC).eval()


@pytest.fixture(scope="module")
def whole(module: torch.nn.Module) -> bytes:
    return tflite_bytes(module, SPEC.input_shape)


def load(path: Path, contents: bytes, shape: tuple[int, ...] = SHAPE) -> ExecutableModel:
    path.write_bytes(contents)
    return LiteRt().load(Artifact(path, "some/op", "tflite", shape, "0" * 64), TARGET)


def test_a_model_computes_what_torch_computes(
    tmp_path: Path, module: torch.nn.Module, whole: bytes
) -> None:
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    model = load(tmp_path / "op.tflite", whole)
    given_ = model.run(x.permute(0, 2, 3, 1).contiguous().numpy())
    with torch.inference_mode():
        wanted = module(x).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(given_, wanted, rtol=1e-4, atol=1e-5)
    assert len(model.time_ms(warmup=1, runs=3)) == 3
    model.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 0.999))
def test_a_file_that_was_cut_is_refused(tmp_path: Path, whole: bytes, keep: float) -> None:
    with pytest.raises(ArtifactError) as caught:
        load(tmp_path / "cut.tflite", whole[: int(keep * len(whole))])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"onnx", b"PK\x03\x04" * 40, b"\0\0\0\0TFL3"])
def test_what_is_no_model_is_refused(tmp_path: Path, contents: bytes) -> None:
    with pytest.raises(ArtifactError):
        load(tmp_path / "none.tflite", contents)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path / "gone", "some/op", "tflite", SHAPE, "0" * 64)
    with pytest.raises(ArtifactError):
        LiteRt().load(artifact, TARGET)


def test_an_input_of_another_shape_is_refused(tmp_path: Path, whole: bytes) -> None:
    with pytest.raises(ArtifactError):
        load(tmp_path / "op.tflite", whole, (1, 4, 6, 6))


def test_the_version_says_which_distribution_it_is() -> None:
    assert LiteRt().version().startswith("ai-edge-litert ")


def _only(monkeypatch: pytest.MonkeyPatch, package: str, interpreter: Any) -> None:
    """Let one distribution alone be installed, with this ``Interpreter``."""

    def version(name: str) -> str:
        if name != package:
            raise PackageNotFoundError(name)
        return "2.14.0"

    name = dict(litert._PACKAGES)[package]
    stand_in = ModuleType(name)
    stand_in.__dict__["Interpreter"] = interpreter
    monkeypatch.setattr(litert, "version", version)
    monkeypatch.setitem(sys.modules, name.partition(".")[0], ModuleType("parent"))
    monkeypatch.setitem(sys.modules, name, stand_in)


def test_the_older_distribution_under_a_new_numpy_says_what_to_install(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What tflite-runtime 2.14 does under numpy 2: it imports, and fails when it is used.
    def fail(**_: object) -> SimpleNamespace:
        raise AttributeError("_ARRAY_API not found")

    _only(monkeypatch, "tflite-runtime", fail)
    assert LiteRt().version() == "tflite-runtime 2.14.0"
    with pytest.raises(MissingExtraError, match="numpy<2"):
        load(tmp_path / "op.tflite", whole)


def test_without_either_distribution_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(litert, "version", version)
    with pytest.raises(MissingExtraError, match=r"lutier\[litert\]"):
        LiteRt().version()


INT8 = Target.make("cpu", "litert", {"precision": "int8"})


def test_a_model_of_bytes_is_timed_and_run_on_floats(
    tmp_path: Path, module: torch.nn.Module, whole: bytes
) -> None:
    x = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    path = tmp_path / "op.tflite"
    path.write_bytes(int8_tflite_bytes(whole, [x]))
    model = LiteRt().load(Artifact(path, "some/op", "tflite", SHAPE, "0" * 64), INT8)
    assert len(model.time_ms(warmup=1, runs=3)) == 3
    with torch.inference_mode():
        wanted = module(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert np.abs(model.run(x) - wanted).max() < 0.05 * np.abs(wanted).max()
    with pytest.raises(ArtifactError, match="a model with one float32 input"):
        LiteRt().load(Artifact(path, "some/op", "tflite", SHAPE, "0" * 64), TARGET)


def test_a_float_model_is_no_int8_model(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "op.tflite"
    path.write_bytes(whole)
    with pytest.raises(ArtifactError, match="a model with one int8 or uint8 input"):
        LiteRt().load(Artifact(path, "some/op", "tflite", SHAPE, "0" * 64), INT8)
