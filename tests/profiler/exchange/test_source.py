"""A file that is not what it is said to be is one clear error."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from devices.errors import InputError
from profiler.exchange.source import SIZE_LIMIT, Source


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        Source.read(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="is not a file"):
        Source.read(tmp_path)
    with pytest.raises(InputError, match=r"no file with.nul"):
        Source.read(Path("with\0nul.csv"))
    (tmp_path / "blank.csv").write_text(" \n\n")
    with pytest.raises(InputError, match=r"blank\.csv is empty"):
        Source.read(tmp_path / "blank.csv")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(SIZE_LIMIT * 4)  # a gigabyte that takes no room on the disk
    with pytest.raises(InputError, match="at most 256 MiB"):
        Source.read(path)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "lut.json"
    path.write_bytes(pickle.dumps({"key": 1.0}))
    with pytest.raises(InputError, match="never loaded") as caught:
        Source.read(path)
    assert "write it as CSV" in caught.value.hint
    with pytest.raises(InputError, match="is a pickle"):
        Source.of("latency.pkl", b"anything")


def test_what_torch_saves_is_never_loaded() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.pkl", b"")
    with pytest.raises(InputError, match="zip archive"):
        Source.of("nb201.bin", archive.getvalue())


def test_bytes_that_are_no_text_are_said_to_be() -> None:
    with pytest.raises(InputError, match="byte 3 is not UTF-8"):
        Source.of("a.csv", b"key\xff").text()


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(InputError, match=r"too deeply|not JSON"):
        Source.of("a.json", b"[" * 200_000).json()
