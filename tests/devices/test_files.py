"""Writing at once: the old contents or the new, never a part, nothing left over."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from devices.files import write_at_once


def test_a_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_at_once(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_at_once(tmp_path / "text", "µs\n")
    assert (tmp_path / "text").read_bytes() == b"\xc2\xb5s\n"


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_at_once(path, "a long old text")
    write_at_once(path, "new")
    assert path.read_text() == "new"


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_at_once(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_at_once(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_at_the_last_moment_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_at_once(folder, "a file cannot replace a folder")
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "inside").is_dir()


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    write_at_once(path, "x")
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_can_be_read_by_those_who_can_read_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_at_once(tmp_path / "at once", "")
    assert (tmp_path / "at once").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_readers_and_writers_at_once_see_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([65 + i]) * 200_000 for i in range(3)]
    write_at_once(path, contents[0])

    def write(mine: bytes) -> None:
        for _ in range(10):
            write_at_once(path, mine)

    writers = [threading.Thread(target=write, args=(each,)) for each in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
