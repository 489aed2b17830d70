from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from devices.errors import DatasetError
from search.data import check_data, fetch, open_data, size_of

SHAPE = (3, 16, 16)
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


def write(folder: Path) -> Path:
    """A small CIFAR-10: 20 records a file; pixels of record i are i in red, 0 in green and blue."""
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        records = np.zeros((20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records[:, 1:1025] = np.arange(20)[:, None]
        records[::2, 2000:] = 9
        records[::3, 1500:1700] = 5
        records.tofile(folder / name)
    return folder


def test_six_files_make_three_splits(tmp_path: Path) -> None:
    data = open_data(f"cifar10:{write(tmp_path)}", SHAPE, 0)
    sizes = {name: size_of(split) for name, split in data.splits.items()}
    assert sizes == {"train": 90, "validation": 10, "test": 20}
    images, labels = fetch(data.test, torch.arange(20))
    assert labels.tolist() == [i % 10 for i in range(20)]
    # The first thousand bytes are red: brighter from record to record.
    red = images[:, 0].mean((1, 2))
    assert torch.equal(red.argsort(), torch.arange(20))
    check_data(data, SHAPE, 10)


def test_the_folder_around_the_files_will_do(tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-bin")
    assert size_of(open_data(f"cifar10:{tmp_path}", SHAPE, 0).test) == 20


def test_colours_are_made_grey_for_a_network_of_one_channel(tmp_path: Path) -> None:
    data = open_data(f"cifar10:{write(tmp_path)}", (1, 32, 32), 0)
    assert fetch(data.test, torch.arange(2))[0].shape == (2, 1, 32, 32)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def relabel(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[3073] = 10
    path.write_bytes(contents)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, r"data_batch_3.bin has 61,459 bytes: .*records of 3,073 bytes: it is truncated"),
        (lambda path: path.write_bytes(b""), "data_batch_3.bin has 0 bytes"),
        (relabel, "data_batch_3.bin has the label 10: there are 10 classes, 0 to 9"),
        (Path.unlink, r"has no data_batch_3\.bin\. Try: unpack cifar-10-binary.tar.gz"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_refused(
    spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    spoil(write(tmp_path) / "data_batch_3.bin")
    with pytest.raises(DatasetError, match=message):
        open_data(f"cifar10:{tmp_path}", SHAPE, 0)


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("harm",))


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-py"])
def test_pickles_are_not_opened(
    inner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    for name in NAMES:
        (tmp_path / inner / name.removesuffix(".bin")).write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DatasetError, match=r"Python pickles: .*runs.*cifar-10-binary"):
        open_data(f"cifar10:{tmp_path}", SHAPE, 0)
    assert capsys.readouterr().out == ""
