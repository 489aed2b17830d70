from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, TensorDataset

from devices.errors import DatasetError
from search.data.check import check_data
from search.data.source import DataSource

SHAPE = (3, 8, 8)


class Stream(IterableDataset[tuple[Tensor, int]]):
    """A dataset without a length."""

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        yield torch.zeros(3, 8, 8), 0


def images(count: int = 20, classes: int = 2) -> tuple[Tensor, Tensor]:
    return torch.arange(count).float().expand(3, 8, 8, -1).movedim(-1, 0), torch.arange(
        count
    ) % classes


def broken(**changes: Any) -> DataSource:
    good = {
        "name": "mine",
        "train": TensorDataset(*images()),
        "validation": TensorDataset(*images()),
        "test": TensorDataset(*images()),
        "input_shape": SHAPE,
        "classes": 2,
    }
    return DataSource(**{**good, **changes})


def not_finite() -> TensorDataset:
    inputs, labels = images()
    inputs = inputs.clone()
    inputs[3, 0, 0, 0] = float("nan")
    return TensorDataset(inputs, labels)


def relabelled(label: int) -> TensorDataset:
    inputs, labels = images()
    return TensorDataset(inputs, torch.cat([labels[:-1], torch.tensor([label])]))


FAULTS: list[tuple[Callable[[], DataSource], str]] = [
    (lambda: broken(input_shape=(3, 9, 9)), "images of 3x9x9: the network takes 3x8x8"),
    (lambda: broken(classes=5), "5 classes: the network has 2 outputs.*classes=5"),
    (
        lambda: broken(train=TensorDataset(images()[0], torch.ones(20, dtype=torch.int64))),
        r"train split of mine holds one class only \(label 1\)",
    ),
    (lambda: broken(test=relabelled(2)), "test split of mine has the label 2: labels are 0 to 1"),
    (lambda: broken(test=relabelled(-1)), "has the label -1"),
    (lambda: broken(validation=not_finite()), "validation split.*not finite"),
    (lambda: broken(test=TensorDataset(*images(0))), "test split of mine is empty"),
    (
        lambda: broken(test=TensorDataset(images()[0][:, :, :4], images()[1])),
        "test split of mine has images of 3x4x8: 3x8x8 is wanted",
    ),
    (
        lambda: broken(train=TensorDataset(images()[0], images()[1].float())),
        r"labels of shape \(20,\), torch.float32.*labels.long",
    ),
    (lambda: broken(train=TensorDataset(images()[0].int(), images()[1])), "int32.*floating-point"),
    (lambda: broken(train=Stream()), "Stream has no length"),
    (lambda: broken(train=[("image", 1)]), "has an item of tuple"),
]


@pytest.mark.parametrize(("make", "message"), FAULTS)
def test_data_that_cannot_be_trained_on_are_refused(
    make: Callable[[], DataSource], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        check_data(make(), SHAPE, 2)


def test_images_of_different_sizes_are_refused() -> None:
    items = [(torch.zeros(3, 8, 8), 0), (torch.zeros(3, 8, 9), 1)]
    with pytest.raises(DatasetError, match="3x8x8 and 3x8x9"):
        check_data(broken(train=items), SHAPE, 2)
