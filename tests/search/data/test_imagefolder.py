from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from devices.errors import DatasetError, MissingExtraError
from search.data import check_data, fetch, open_data, size_of
from search.data import imagefolder as module

SHAPE = (3, 8, 8)


def write(folder: Path, count: int, classes: str = "ab", suffix: str = "png") -> Path:
    """Noise of 12x9 pixels, class b brighter than class a."""
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([i, number])
            pixels = rng.integers(60 * i, 60 * i + 80, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.{suffix}")
    return folder


def published(folder: Path, test: str = "test") -> Path:
    write(folder / "train", 20)
    write(folder / test, 4, suffix="jpg")
    return folder


@pytest.mark.parametrize("test", ["test", "val"])
def test_the_test_split_stays_and_validation_is_a_part_of_train(tmp_path: Path, test: str) -> None:
    data = open_data(f"imagefolder:{published(tmp_path, test)}", SHAPE, 0)
    sizes = {name: size_of(split) for name, split in data.splits.items()}
    assert sizes == {"train": 36, "validation": 4, "test": 8}
    images, labels = fetch(data.test, torch.arange(8))
    assert labels.tolist() == [0] * 4 + [1] * 4
    assert images[labels == 1].mean() > images[labels == 0].mean() + 0.5
    assert data.notes == ()
    check_data(data, SHAPE, 2)


def test_without_splits_a_fifth_is_the_test_split(tmp_path: Path) -> None:
    data = open_data(f"imagefolder:{write(tmp_path, 20)}", SHAPE, 0)
    assert sum(map(size_of, data.splits.values())) == 40
    assert fetch(data.test, torch.arange(8))[1].bincount().tolist() == [4, 4]


def test_a_second_test_folder_is_said_to_be_unused(tmp_path: Path) -> None:
    write(published(tmp_path) / "val", 3)
    (note,) = open_data(f"imagefolder:{tmp_path}", SHAPE, 0).notes
    assert "val is not used" in note


def first(folder: Path, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    """The bytes of the first test image."""
    data = open_data(f"imagefolder:{folder}", shape, 0)
    pixels: torch.Tensor = data.test.pixels[0]  # type: ignore[attr-defined]
    return pixels


def test_the_middle_of_an_image_is_taken_with_its_proportions(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = 200
    Image.fromarray(wide).save(published(tmp_path) / "test" / "a" / "-.png")
    assert first(tmp_path).unique().tolist() == [200]


def test_grey_of_16_bits_transparent_and_palette_images_are_read(tmp_path: Path) -> None:
    folder = published(tmp_path) / "test" / "a"
    Image.fromarray(np.full((8, 8), 200 * 256, dtype=np.uint16)).save(folder / "-.png")
    assert first(tmp_path).unique().tolist() == [200]
    assert first(tmp_path, (1, 8, 8)).shape == (1, 8, 8)
    Image.new("RGBA", (8, 8), (200, 200, 200, 90)).save(folder / "-.png")
    assert first(tmp_path).unique().tolist() == [200]
    Image.new("RGB", (8, 8), (204, 204, 204)).convert("P").save(folder / "-.png")
    assert first(tmp_path).unique().tolist() == [204]


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 99))


CORRUPT = {
    "empty": b"",
    "text": b"hello",
    "a signature only": b"\x89PNG\r\n\x1a\n",
    "bomb": bomb(),
    "another format": b"GIF89a\x01\x00\x01\x00\x00\x00\x00",
}


@pytest.mark.parametrize("contents", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_corrupt_image_is_named_and_skipped_only_when_asked(
    contents: bytes, tmp_path: Path
) -> None:
    (published(tmp_path) / "train" / "b" / "7.png").write_bytes(contents)
    with pytest.raises(DatasetError, match=r"train/b/7.png cannot be read.*skip_corrupt=1"):
        open_data(f"imagefolder:{tmp_path}", SHAPE, 0)
    data = open_data(f"imagefolder:{tmp_path}?skip_corrupt=1", SHAPE, 0)
    assert data.notes == ("1 corrupt images were skipped: train/b/7.png",)
    assert size_of(data.train) + size_of(data.validation) == 39


def test_a_truncated_image_is_corrupt(tmp_path: Path) -> None:
    path = published(tmp_path) / "test" / "a" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"test/a/0.jpg cannot be read as an image: .*truncated"):
        open_data(f"imagefolder:{tmp_path}", SHAPE, 0)


def test_files_that_are_no_images_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = published(tmp_path) / "train" / "a"
    (folder / "notes.txt").touch()
    (folder / ".hidden").touch()
    data = open_data(f"imagefolder:{tmp_path}", SHAPE, 0)
    assert data.notes == ("1 files are no PNG or JPEG: train/a/notes.txt",)


def test_a_class_without_readable_images_is_refused(tmp_path: Path) -> None:
    published(tmp_path)
    for path in (tmp_path / "train" / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="train/b holds no image that can be read"):
        open_data(f"imagefolder:{tmp_path}?skip_corrupt=1", SHAPE, 0)
    for path in (tmp_path / "train" / "b").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="train/b holds no PNG or JPEG"):
        open_data(f"imagefolder:{tmp_path}", SHAPE, 0)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "one", 3, classes="a")
    with pytest.raises(DatasetError, match="one holds 1 folders of classes: 2 are the least"):
        open_data(f"imagefolder:{tmp_path / 'one'}", SHAPE, 0)
    write(tmp_path / "two" / "train", 3)
    with pytest.raises(DatasetError, match="has a folder train but no test"):
        open_data(f"imagefolder:{tmp_path / 'two'}", SHAPE, 0)
    write(tmp_path / "two" / "test", 3, classes="abc")
    with pytest.raises(DatasetError, match="test has the class c: train has no such folder"):
        open_data(f"imagefolder:{tmp_path / 'two'}", SHAPE, 0)


def test_images_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "sysconf", lambda name: 100)
    with pytest.raises(DatasetError, match=r"40 images of .*train take 0\.0 GB"):
        open_data(f"imagefolder:{published(tmp_path)}", SHAPE, 0)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lutier\[vision\]'"):
        open_data(f"imagefolder:{tmp_path}", SHAPE, 0)
