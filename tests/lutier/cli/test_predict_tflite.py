"""``lutier profile --model`` and ``lutier predict`` with TFLite files on LiteRT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from in_process import run_in_one_line as run
from tflite_examples import BROKEN, small

from lutier.cli.main import main

TARGET = "cpu/litert?threads=1"
PROFILE = ("profile", "--runtime", "litert", "--max-rounds", "12", "--time-limit", "0", "--model")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.tflite"
    path.write_bytes(small())
    return path


@pytest.fixture(scope="module")
def db(net: Path) -> str:
    """A database in which the network and its kernels are measured."""
    url = f"sqlite:///{net.with_name('lut.db')}"
    main([*PROFILE, str(net), "--db", url])
    return url


def test_a_network_whose_kernels_were_measured_is_predicted(
    net: Path, db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--target", TARGET, "--db", db, str(net), "--json")
    code, out, err = run(*words, capsys=capsys)
    assert code == 0, err
    (found,) = json.loads(out)["networks"]
    assert (found["complete"], found["share_measured"]) == (True, 1)
    assert found["predicted_ms"] > 0
    assert found["measured_ms"] > 0
    assert all(kernel["key"].startswith("litert/tflite:") for kernel in found["kernels"])


def test_a_network_that_was_not_measured_is_a_lower_bound(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(small(width=12))
    code, out, err = run("predict", "--target", TARGET, "--db", db, str(other), capsys=capsys)
    assert code == 3
    assert "lower bound" in out
    assert "tflite:CONV_2D (1 kernels like it were measured" in err
    assert f"--runtime litert --threads 1 --model {other}" in err


@pytest.mark.parametrize("command", [PROFILE, ("predict", "--target", TARGET)])
@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_used_gets_one_clear_line(
    command: tuple[str, ...],
    name: str,
    db: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    contents, said = BROKEN[name]
    path = tmp_path / "bad.tflite"
    path.write_bytes(contents)
    code, out, err = run(*command, str(path), "--db", db, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.count("error:") == 1
    assert said in err


def test_a_file_for_another_runtime_names_the_target(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    code, _, err = run("predict", "--target", TARGET, "--db", db, str(path), capsys=capsys)
    assert code == 2
    assert "is no .tflite file" in err
    assert "cpu/onnxruntime?threads=1" in err
