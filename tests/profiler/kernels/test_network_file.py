"""Files that somebody gives: read whole, or refused in one line that says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx_examples import model_of, residual, saved

from devices.errors import ArtifactError, InputError
from profiler.kernels.network_file import MOST_BYTES, read_network_file

WHOLE = residual().SerializeToString()


def refusal(path: Path, error: type[InputError] = ArtifactError) -> str:
    with pytest.raises(error) as caught:
        read_network_file(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_a_file_is_read_with_its_input_and_a_name_of_its_own(tmp_path: Path) -> None:
    network = read_network_file(saved(tmp_path / "my net.onnx", residual()))
    assert network.inputs == {"x": (1, 16, 8, 8)}
    assert network.key.startswith("file/my_net#")
    assert " " not in network.key
    other = read_network_file(saved(tmp_path / "my net.onnx", residual(24)))
    assert network.key != other.key


def test_weights_kept_elsewhere_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save_model(
        residual(), str(path), save_as_external_data=True, location="net.bin", size_threshold=0
    )
    assert len(path.read_bytes()) < len(WHOLE)
    network = read_network_file(path)
    assert not [
        w
        for w in onnx.load_model_from_string(network.contents).graph.initializer
        if w.data_location
    ]
    (tmp_path / "net.bin").unlink()
    text = refusal(path)
    assert "lacks weights" in text
    assert "keep the file of its weights beside it" in text


def test_weights_outside_of_its_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 10_000_000)
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / "net.onnx"
    onnx.save_model(
        residual(), str(path), save_as_external_data=True, location="net.bin", size_threshold=0
    )
    model = onnx.load_model_from_string(path.read_bytes())
    for each in model.graph.initializer:
        for entry in each.external_data:
            if entry.key == "location":
                entry.value = "../secret"
    assert "lacks weights" in refusal(saved(path, model))


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (WHOLE[: len(WHOLE) // 2], "it is cut, or no ONNX file at all"),
        (b"PK\x03\x04 a zip file", "it is cut, or no ONNX file at all"),
        (b"", "no ONNX file"),
        (model_of([]).SerializeToString(), "its graph is empty"),
    ],
    ids=["cut", "something else", "no bytes", "an empty graph"],
)
def test_what_is_no_network_is_refused(contents: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(contents)
    assert said in refusal(path)


@given(st.integers(1, len(WHOLE) - 1))
def test_a_file_cut_anywhere_is_refused_or_lacks_something(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "net.onnx"
    path.write_bytes(WHOLE[:length])
    try:
        network = read_network_file(path)
    except ArtifactError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert network.contents


@pytest.mark.parametrize("shape", [("batch", 16, 8, 8), (1, 16, "height", "width"), (0, 16)])
def test_inputs_of_any_size_are_refused(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["out"])], shape=shape)
    text = refusal(saved(tmp_path / "net.onnx", model))
    assert "takes inputs of any size" in text
    assert "make_dynamic_shape_fixed" in text


def test_a_file_larger_than_a_message_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    assert os.stat(path).st_blocks < 100  # noqa: PTH116
    assert "holds 2.1 GB with its weights" in refusal(path)


def test_weights_that_are_too_large_together_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save_model(
        residual(), str(path), save_as_external_data=True, location="net.bin", size_threshold=0
    )
    model = onnx.load_model_from_string(path.read_bytes())
    for each in model.graph.initializer:
        for entry in each.external_data:
            if entry.key == "length":
                entry.value = str(10**9)
    assert "holds 4.0 GB with its weights" in refusal(saved(path, model))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no file" in refusal(tmp_path / "gone.onnx", InputError)
