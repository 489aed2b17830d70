"""CIFAR-10, from the binary version of its files.

A record is one byte of label and 3,072 bytes of pixels: 32x32 red ones, then green, then blue. The
version for Python holds pickles, which run what they please when they are opened: it is not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from devices.errors import DatasetError
from search.augment import CROP, Augmentation
from search.data.arrays import Shape, check_labels
from search.data.published import Arrays, from_published
from search.data.registry import register_folder
from search.data.source import DataSource

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CIFAR10_SOURCE = (
    "unpack cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html, then"
    " cifar10:DIR with the folder cifar-10-batches-bin"
)

_TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_SIDE = 32
_RECORD_BYTES = 1 + 3 * _SIDE * _SIDE
# A batch as published has 10,000 records.
_LARGEST_BYTES = 100_000 * _RECORD_BYTES


@register_folder("cifar10", CIFAR10_SOURCE)
def cifar10(folder: Path, input_shape: Shape, seed: int) -> DataSource:
    """CIFAR-10: 50,000 training and 10,000 test photographs, 32x32 in colour, ten classes.

    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. A tenth of the
    training images is set aside for validation, class by class.

    Args:
        folder: holds the batches, or a folder ``cifar-10-batches-bin`` that does.
        input_shape: ``(channels, height, width)`` of the network's input.
        seed: decides which images are set aside.

    Raises:
        DatasetError: a batch that is missing, a pickle, truncated, or has labels that do not fit.
    """
    inner = folder / "cifar-10-batches-bin"
    place = inner if inner.is_dir() else folder
    missing = [name for name in (*_TRAINING, _TEST) if not (place / name).is_file()]
    if missing:
        raise _missing(place, missing)
    images, labels = zip(*(_batch(place / name) for name in _TRAINING), strict=True)
    train = torch.cat(images), torch.cat(labels)
    test = _batch(place / _TEST)
    augmentation = Augmentation(crop=CROP, flip=True)
    classes = len(CIFAR10_CLASSES)
    return from_published("cifar10", train, test, input_shape, classes, seed, augmentation)


def _missing(place: Path, names: list[str]) -> DatasetError:
    pickles = [
        path
        for path in (place / "data_batch_1", place / "cifar-10-batches-py" / "data_batch_1")
        if path.is_file()
    ]
    if pickles:
        return DatasetError(
            f"{pickles[0].parent} holds CIFAR-10 as Python pickles",
            "opening a pickle runs what is in it",
            CIFAR10_SOURCE,
        )
    return DatasetError(f"{place} has no {', '.join(names)}", hint=CIFAR10_SOURCE)


def _batch(path: Path) -> Arrays:
    try:
        size_bytes = path.stat().st_size
        if size_bytes == 0 or size_bytes % _RECORD_BYTES or size_bytes > _LARGEST_BYTES:
            raise DatasetError(
                f"{path} has {size_bytes:,} bytes",
                f"a batch is 1 to 100,000 records of {_RECORD_BYTES:,} bytes: it is truncated, or"
                " another file",
                "unpack it again",
            )
        records = np.fromfile(path, dtype=np.uint8, count=size_bytes)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read", str(error.strerror)) from error
    table = torch.from_numpy(records).reshape(-1, _RECORD_BYTES)
    labels = table[:, 0].long()
    check_labels(str(path), labels, CIFAR10_CLASSES)
    return table[:, 1:].reshape(-1, 3, _SIDE, _SIDE), labels
