from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from devices.errors import DatasetError, InputError, UnknownNameError
from search.data import (
    DataSource,
    batches,
    check_data,
    data_names,
    fetch,
    from_dataset,
    open_data,
    register_data,
    size_of,
)

SHAPE = (3, 8, 8)


class Squares(Dataset[tuple[Tensor, int]]):
    """A dataset that is not in memory: item i is a constant image of i, its label i modulo 3."""

    def __init__(self, count: int = 30) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((1, 4, 4), float(index)), index % 3


class Stream(IterableDataset[tuple[Tensor, int]]):
    """A dataset without a length."""

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        yield torch.zeros(3, 8, 8), 0


def images(count: int = 20, classes: int = 2) -> tuple[Tensor, Tensor]:
    return torch.arange(count).float().expand(3, 8, 8, -1).movedim(-1, 0), torch.arange(
        count
    ) % classes


def indices(dataset: Dataset[Any]) -> set[int]:
    inputs, _ = fetch(dataset, torch.arange(size_of(dataset)))
    return {int(image.flatten()[0]) for image in inputs}


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


def test_digits_are_split_by_class_and_resized() -> None:
    source = open_data("digits", (3, 12, 10), seed=0)
    sizes = [size_of(split) for split in source.splits.values()]
    assert sum(sizes) == 1797
    assert source.input_shape == (3, 12, 10)
    everywhere = sum(
        fetch(dataset, torch.arange(size_of(dataset)))[1].bincount(minlength=10)
        for dataset in source.splits.values()
    )
    for dataset, share in zip(source.splits.values(), (0.6, 0.2, 0.2), strict=True):
        inputs, labels = fetch(dataset, torch.arange(size_of(dataset)))
        assert inputs.shape[1:] == (3, 12, 10)
        assert inputs.dtype == torch.float32
        assert (labels.bincount(minlength=10) - share * everywhere).abs().max() <= 2
    train, _ = fetch(source.train, torch.arange(sizes[0]))
    assert abs(float(train.mean())) < 1e-4
    assert abs(float(train.std()) - 1) < 1e-2
    check_data(source, (3, 12, 10), 10)


def test_the_seed_decides_the_split() -> None:
    def labels(seed: int) -> list[int]:
        source = open_data("digits", SHAPE, seed)
        return fetch(source.train, torch.arange(200))[1].tolist()

    assert labels(0) == labels(0)
    assert labels(0) != labels(1)


def test_unknown_data_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown data 'digit'.*digits"):
        open_data("digit", SHAPE, 0)


def test_registered_data_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.data._DATA", {})
    register_data("mine")(lambda shape, seed: from_dataset(images(), images(), seed=seed))
    assert data_names() == ("mine",)
    assert open_data("mine", SHAPE, 0).classes == 2
    with pytest.raises(InputError, match="registered already"):
        register_data("mine")(lambda shape, seed: from_dataset(images(), images()))


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


def test_without_a_generator_batches_are_in_order() -> None:
    assert [labels.tolist() for _, labels in batches(Squares(5), 2)] == [[0, 1], [2, 0], [1]]


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


def test_as_many_labels_as_images_are_wanted() -> None:
    inputs, labels = images()
    with pytest.raises(DatasetError, match="20 images and 19 labels"):
        from_dataset((inputs, labels[:-1]), (inputs, labels))


def test_images_of_different_sizes_are_refused() -> None:
    items = [(torch.zeros(3, 8, 8), 0), (torch.zeros(3, 8, 9), 1)]
    with pytest.raises(DatasetError, match="3x8x8 and 3x8x9"):
        check_data(broken(train=items), SHAPE, 2)
