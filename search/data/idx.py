"""Fashion-MNIST, from files in the IDX format of MNIST, plain or gzipped.

IDX: two zero bytes, the type of a value (8 = unsigned byte), the number of dimensions, then the
sizes of the dimensions as big-endian 32-bit numbers, then the values.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from torch import Tensor

from devices.errors import DatasetError
from search.augment import CROP, Augmentation
from search.data.arrays import Shape, check_labels
from search.data.published import Arrays, from_published
from search.data.registry import register_folder
from search.data.source import DataSource

FASHION_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FASHION_SOURCE = (
    "apt-get install dataset-fashion-mnist, then"
    " fashion-mnist:/usr/share/datasets/fashion-mnist; or the four files of"
    " https://github.com/zalandoresearch/fashion-mnist"
)

_UNSIGNED_BYTE = 8
# What a header may promise; MNIST has 47 MB.
_LARGEST_BYTES = 2**31
_GET_AGAIN = "get the file again"


@register_folder("fashion-mnist", FASHION_SOURCE)
def fashion_mnist(folder: Path, input_shape: Shape, seed: int) -> DataSource:
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28x28 grey, ten classes.

    Xiao, Rasul, Vollgraf, arXiv:1708.07747. A tenth of the training images is set aside for
    validation, class by class.

    Raises:
        DatasetError: a file that is missing, truncated, of another format, or has labels that do
            not fit.
    """
    return from_published(
        "fashion-mnist",
        _split(folder, "train"),
        _split(folder, "t10k"),
        input_shape,
        len(FASHION_CLASSES),
        seed,
        Augmentation(crop=CROP, flip=True),
    )


def _split(folder: Path, split: str) -> Arrays:
    images_path = _find(folder, f"{split}-images", 3)
    labels_path = _find(folder, f"{split}-labels", 1)
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1).long()
    if len(images) != len(labels):
        raise DatasetError(
            f"{images_path} has {len(images)} images, {labels_path.name} has {len(labels)} labels",
            "every image needs one label",
            "get both files again",
        )
    check_labels(str(labels_path), labels, FASHION_CLASSES)
    return images[:, None], labels


def _find(folder: Path, name: str, dimensions: int) -> Path:
    """The file of that name; some copies have a dot where others have a hyphen."""
    plain = f"{name}-idx{dimensions}-ubyte"
    names = [
        plain,
        f"{plain}.gz",
        plain.replace("-idx", ".idx"),
        f"{name}.idx{dimensions}-ubyte.gz",
    ]
    for each in names:
        if (folder / each).is_file():
            return folder / each
    raise DatasetError(f"{folder} has no {plain} or {plain}.gz", hint=FASHION_SOURCE)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """The values of an IDX file of unsigned bytes.

    Args:
        path: gzipped where the name ends in ``.gz``.
        dimensions: how many the file must have.

    Returns:
        A uint8 tensor of the shape that the file's header says.

    Raises:
        DatasetError: a wrong magic number, fewer or more bytes than the header says, damaged
            compression, or a file that cannot be read.
    """
    try:
        # A gzipped file unpacks to any size: no more is read than the header may promise.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(path, cast("IO[bytes]", file), dimensions)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be unpacked", str(error), _GET_AGAIN) from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read", str(error.strerror)) from error


def _read(path: Path, file: IO[bytes], dimensions: int) -> Tensor:
    header = file.read(4 + 4 * dimensions)
    expected = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != expected:
        raise DatasetError(
            f"{path} starts with {header[:4].hex() or 'nothing'}",
            f"an IDX file of {dimensions} dimensions starts with {expected.hex()}",
            _GET_AGAIN,
        )
    if len(header) < 4 + 4 * dimensions:
        raise DatasetError(f"{path} ends in its header", "it is truncated", _GET_AGAIN)
    shape = tuple(np.frombuffer(header, ">u4", dimensions, offset=4).tolist())
    size = math.prod(shape)
    if size > _LARGEST_BYTES or 0 in shape:
        raise DatasetError(
            f"{path} says it holds {'x'.join(map(str, shape))} bytes",
            "that is nothing" if 0 in shape else f"{_LARGEST_BYTES:,} bytes are read at most",
            _GET_AGAIN,
        )
    values = np.empty(size, dtype=np.uint8)
    held = _fill(file, values)
    if held < size or file.read(1):
        raise DatasetError(
            f"{path} holds {held:,} values{'' if held < size else ' and more'}",
            f"its header says {size:,}" + (": it is truncated" if held < size else ""),
            _GET_AGAIN,
        )
    return torch.from_numpy(values).reshape(shape)


def _fill(file: IO[bytes], values: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> int:
    """Read into an array, and say how many bytes there were."""
    held = 0
    while held < len(values):
        chunk = file.read(min(2**20, len(values) - held))
        if not chunk:
            break
        values[held : held + len(chunk)] = np.frombuffer(chunk, np.uint8)
        held += len(chunk)
    return held
