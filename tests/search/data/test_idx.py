from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import DatasetError, LutierError
from search.augment import CROP, Augmentation
from search.data import check_data, fetch, open_data, size_of
from search.data.idx import read_idx

REAL = Path("/usr/share/datasets/fashion-mnist")
SHAPE = (3, 8, 8)


def idx(values: Any, magic: bytes = b"\0\0\x08") -> bytes:
    array = np.asarray(values, dtype=np.uint8)
    header = magic + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def write(folder: Path, *, zipped: bool = False, **changes: bytes) -> Path:
    """A small Fashion-MNIST: 60 training and 20 test images of 6x5 pixels."""
    rng = np.random.default_rng(0)
    contents = {}
    for split, count in (("train", 60), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 6, 5))
        contents[f"{split}-images-idx3-ubyte"] = idx(images)
        contents[f"{split}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    for name, data in changes.items():
        contents[next(key for key in contents if key.startswith(name.replace("_", "-")))] = data
    for name, data in contents.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_four_files_make_three_splits(tmp_path: Path, zipped: bool) -> None:
    data = open_data(f"fashion-mnist:{write(tmp_path, zipped=zipped)}", SHAPE, 0)
    assert {name: size_of(split) for name, split in data.splits.items()} == {
        "train": 54,
        "validation": 6,
        "test": 20,
    }
    assert fetch(data.test, torch.arange(20))[1].tolist() == [i % 10 for i in range(20)]
    check_data(data, SHAPE, 10)


def test_shifts_and_mirror_images_suit_clothes(tmp_path: Path) -> None:
    data = open_data(f"fashion-mnist:{write(tmp_path)}", SHAPE, 0)
    assert data.augmentation == Augmentation(crop=CROP, flip=True)
    assert open_data("digits", SHAPE, 0).augmentation == Augmentation()


def test_files_named_with_a_dot_are_found(tmp_path: Path) -> None:
    for path in list(write(tmp_path).iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    assert open_data(f"fashion-mnist:{tmp_path}", SHAPE, 0).classes == 10


def test_more_classes_than_the_space_has_are_refused(tmp_path: Path) -> None:
    data = open_data(f"fashion-mnist:{write(tmp_path)}", SHAPE, 0)
    with pytest.raises(DatasetError, match="10 classes: the network has 4 outputs"):
        check_data(data, SHAPE, 4)


IMAGES = np.ones((60, 6, 5))
FAULTS = {
    "a wrong magic number": (
        {"train_images": idx(IMAGES, b"\0\0\x0d")},
        "train-images-idx3-ubyte starts with 00000d03: an IDX.*00000803",
    ),
    "labels as images": ({"train_images": idx(np.ones(60))}, "starts with 00000801"),
    "a cut image": ({"train_images": idx(IMAGES)[:-1]}, "holds 1,799 values: .*1,800: it is trunc"),
    "a cut header": ({"train_images": idx(IMAGES)[:9]}, "ends in its header"),
    "an empty file": ({"t10k_labels": b""}, "t10k-labels-idx1-ubyte starts with nothing"),
    "more than was said": ({"train_labels": idx(np.zeros(60)) + b"x"}, "holds 60 values and more"),
    "no images": ({"train_images": idx(np.ones((0, 6, 5)))}, "0x6x5 bytes: that is nothing"),
    "labels that miss": (
        {"train_labels": idx(np.zeros(59))},
        "has 60 images, train-labels-idx1-ubyte has 59 labels: every image needs one",
    ),
    "a label too high": ({"t10k_labels": idx(np.full(20, 10))}, "has the label 10: there are 10"),
    "a giant": (
        {"train_images": b"\0\0\x08\3" + b"\xff" * 12},
        "4294967295x4294967295x4294967295 bytes: 2,147,483,648 bytes are read at most",
    ),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("zipped", [False, True])
def test_files_that_are_not_what_they_should_be_are_refused(
    changes: dict[str, bytes], message: str, zipped: bool, tmp_path: Path
) -> None:
    write(tmp_path, zipped=zipped, **changes)
    message = message.replace("-ubyte", r"-ubyte(\.gz)?")
    with pytest.raises(DatasetError, match=message):
        open_data(f"fashion-mnist:{tmp_path}", SHAPE, 0)


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: b"PK" + data[2:]])
def test_damaged_compression_is_refused(tmp_path: Path, spoil: Any) -> None:
    path = write(tmp_path, zipped=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"train-images.*gz cannot be unpacked"):
        open_data(f"fashion-mnist:{tmp_path}", SHAPE, 0)


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    (write(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=r"no t10k-labels-idx1-ubyte or .*apt-get install"):
        open_data(f"fashion-mnist:{tmp_path}", SHAPE, 0)


@given(contents=st.binary(max_size=64), suffix=st.sampled_from(["", ".gz"]))
def test_any_bytes_are_read_or_refused(
    contents: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bytes") / f"file{suffix}"
    path.write_bytes(contents)
    try:
        values = read_idx(path, 1)
    except LutierError:
        return
    assert values.tolist() == list(contents[8:])


@pytest.mark.skipif(not REAL.is_dir(), reason="needs apt-get install dataset-fashion-mnist")
def test_the_real_files_are_read() -> None:
    data = open_data(f"fashion-mnist:{REAL}", (3, 32, 32), 0)
    sizes = {name: size_of(split) for name, split in data.splits.items()}
    assert sizes == {"train": 54_000, "validation": 6_000, "test": 10_000}
    images, labels = fetch(data.test, torch.arange(10_000)[::50])
    assert images.shape == (200, 3, 32, 32)
    # The first test images as published: an ankle boot, a pullover, two pairs of trousers.
    assert fetch(data.test, torch.arange(4))[1].tolist() == [9, 2, 1, 1]
    assert set(labels.tolist()) == set(range(10))
    check_data(data, (3, 32, 32), 10)
