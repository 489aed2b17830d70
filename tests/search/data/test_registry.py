from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from devices.errors import DatasetError, InputError, UnknownNameError
from search.data.registry import data_names, full_name, open_data, register_data, register_folder
from search.data.source import DataSource, from_dataset

SHAPE = (3, 8, 8)


def images() -> tuple[Tensor, Tensor]:
    return torch.zeros(20, 3, 8, 8), torch.arange(20) % 2


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    """Two registered data sets, and what the one of a folder was called with."""
    monkeypatch.setattr("search.data.registry._DATA", {})
    calls: list[tuple[Path, bool]] = []
    register_data("mine")(lambda shape, seed: from_dataset(images(), images(), seed=seed))

    @register_folder("files", "ask me")
    def files(
        folder: Path, shape: tuple[int, int, int], seed: int, *, careful: bool = False
    ) -> DataSource:
        calls.append((folder, careful))
        return from_dataset(images(), images(), seed=seed)

    return calls


def test_unknown_data_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown data 'digit'.*digits"):
        open_data("digit", SHAPE, 0)


@pytest.mark.usefixtures("own")
def test_registered_data_can_be_opened() -> None:
    assert data_names() == ("files", "mine")
    assert open_data("mine", SHAPE, 0).classes == 2
    with pytest.raises(InputError, match="registered already"):
        register_data("mine")(lambda shape, seed: from_dataset(images(), images()))


def test_data_of_files_are_given_their_folder_and_options(
    own: list[tuple[Path, bool]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    open_data(f"files:{tmp_path}", SHAPE, 0)
    open_data(f"files:{tmp_path}?careful=1", SHAPE, 0)
    assert own == [(tmp_path, False), (tmp_path, True)]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", "files needs the folder of its files.*files:DIR; ask me"),
        (":{}/none", "none is not a folder of files: there is none.*ask me"),
        (":{}/empty", "is empty: files of files are wanted. Try: ask me"),
        (":{}/file", "file is not a folder of files: it is a file"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(rest: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=message):
        open_data(f"files{rest.format(tmp_path)}", SHAPE, 0)


@pytest.mark.usefixtures("own")
def test_options_are_known_switches(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnknownNameError, match=r"option of files 'carefull'\. Try: careful"):
        open_data(f"files:{tmp_path}?carefull=1", SHAPE, 0)
    with pytest.raises(InputError, match="careful=maybe: it is on or off"):
        open_data(f"files:{tmp_path}?careful=maybe", SHAPE, 0)


@pytest.mark.parametrize("text", ["mine:folder", "mine?careful=1"])
@pytest.mark.usefixtures("own")
def test_a_folder_where_none_is_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="mine is read from no folder"):
        open_data(text, SHAPE, 0)


@pytest.mark.usefixtures("own")
def test_a_full_name_holds_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert full_name("mine") == "mine"
    assert full_name("files:some?careful=1") == f"files:{tmp_path}/some?careful=1"
