"""TFLite files that somebody gives: read whole, or refused in one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_examples import BROKEN, small

from devices.errors import ArtifactError, InputError, LutierError
from devices.host import HostDevice
from devices.target import Target
from profiler.kernels.network_file import MOST_BYTES
from profiler.kernels.tflite_file import read_tflite_file
from profiler.kernels.tflite_kernels import take_apart_tflite

TARGET = Target.make("cpu", "litert", {})
WHOLE = small()


def test_a_file_is_read_with_its_input_and_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "my net.tflite"
    path.write_bytes(WHOLE)
    network = read_tflite_file(path)
    assert network.inputs == {"input": (1, 8, 8, 3)}
    assert (network.contents, network.file_format) == (WHOLE, "tflite")
    assert network.key.startswith("file/my_net#")


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    contents, said = BROKEN[name]
    path = tmp_path / "net.tflite"
    path.write_bytes(contents)
    with pytest.raises(ArtifactError) as caught:
        read_tflite_file(path)
    text = str(caught.value)
    assert said in text
    assert str(path) in text
    assert "\n" not in text


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "net.tflite"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(LutierError) as caught:
        take_apart_tflite(read_tflite_file(path), HostDevice(), TARGET)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ArtifactError, match=r"holds 2\.1 GB"):
        read_tflite_file(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_tflite_file(tmp_path / "gone.tflite")
