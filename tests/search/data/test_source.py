from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from devices.errors import DatasetError
from search.data.check import check_data
from search.data.source import batches, fetch, from_dataset, size_of


class Squares(Dataset[tuple[Tensor, int]]):
    """A dataset that is not in memory: item i is a constant image of i, its label i modulo 3."""

    def __init__(self, count: int = 30) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((1, 4, 4), float(index)), index % 3


def images(count: int = 20, classes: int = 2) -> tuple[Tensor, Tensor]:
    return torch.arange(count).float().expand(3, 8, 8, -1).movedim(-1, 0), torch.arange(
        count
    ) % classes


def indices(dataset: Dataset[Any]) -> set[int]:
    inputs, _ = fetch(dataset, torch.arange(size_of(dataset)))
    return {int(image.flatten()[0]) for image in inputs}


def test_validation_is_set_aside_by_class_and_disjoint() -> None:
    source = from_dataset(images(40, classes=4), images(), validation_share=0.25)
    train, validation = indices(source.train), indices(source.validation)
    assert train | validation == set(range(40))
    assert len(validation) == 10
    labels = fetch(source.validation, torch.arange(10))[1]
    assert set(labels.tolist()) == {0, 1, 2, 3}


def test_any_map_style_dataset_is_accepted() -> None:
    source = from_dataset(Squares(), Squares(6), name="squares")
    assert source.classes == 3
    assert source.input_shape == (1, 4, 4)
    assert indices(source.train) | indices(source.validation) == set(range(30))
    check_data(source, (1, 4, 4), 3)
    (inputs, labels), *_ = batches(source.test, 4)
    assert inputs.shape == (4, 1, 4, 4)
    assert labels.tolist() == [0, 1, 2, 0]


@given(
    count=st.integers(1, 50),
    batch_size=st.integers(1, 60),
    seed=st.integers(0, 2**31),
    drop_last=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_batches_hold_each_image_once(
    count: int, batch_size: int, seed: int, drop_last: bool
) -> None:
    dataset = TensorDataset(*images(count))

    def drawn() -> list[list[float]]:
        generator = torch.Generator().manual_seed(seed)
        passed = batches(dataset, batch_size, generator, drop_last=drop_last)
        return [inputs[:, 0, 0, 0].tolist() for inputs, _ in passed]

    seen = [image for batch in drawn() for image in batch]
    dropped = count % batch_size if drop_last and count >= batch_size else 0
    assert len(set(seen)) == len(seen) == count - dropped
    assert drawn() == drawn()


def test_batches_at_the_beginning_can_be_left_out() -> None:
    def drawn(first: int) -> list[list[float]]:
        generator = torch.Generator().manual_seed(3)
        passed = batches(TensorDataset(*images(20)), 6, generator, first=first)
        return [inputs[:, 0, 0, 0].tolist() for inputs, _ in passed]

    assert drawn(2) == drawn(0)[2:]
    assert drawn(4) == []


def test_without_a_generator_batches_are_in_order() -> None:
    assert [labels.tolist() for _, labels in batches(Squares(5), 2)] == [[0, 1], [2, 0], [1]]


def test_as_many_labels_as_images_are_wanted() -> None:
    inputs, labels = images()
    with pytest.raises(DatasetError, match="20 images and 19 labels"):
        from_dataset((inputs, labels[:-1]), (inputs, labels))
