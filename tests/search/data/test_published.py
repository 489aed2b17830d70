from __future__ import annotations

import pytest
import torch
from torch import Tensor

from devices.errors import DatasetError
from search.augment import Augmentation
from search.data.arrays import ImageArrays
from search.data.published import from_published
from search.data.source import DataSource

SHAPE = (3, 8, 8)


def arrays(count: int, brightest: int = 256) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, brightest, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return pixels, torch.arange(count) % 4


def source(seed: int = 0) -> DataSource:
    return from_published(
        "mine", arrays(200), arrays(40, 100), SHAPE, 4, seed, Augmentation(flip=True)
    )


def held(dataset: object) -> ImageArrays:
    assert isinstance(dataset, ImageArrays)
    return dataset


def test_a_tenth_of_each_class_is_set_aside_and_the_test_split_stays() -> None:
    data = source()
    train, validation, test = (held(split) for split in data.splits.values())
    assert train.labels.bincount().tolist() == [45] * 4
    assert validation.labels.bincount().tolist() == [5] * 4
    assert torch.equal(test.pixels, arrays(40, 100)[0])
    assert torch.equal(test.labels, arrays(40)[1])


def test_every_training_image_is_in_one_split() -> None:
    train, validation = held(source().train), held(source().validation)
    together = torch.cat([train.pixels, validation.pixels]).flatten(1)
    assert sorted(together.tolist()) == sorted(arrays(200)[0].flatten(1).tolist())


def test_the_training_split_alone_decides_the_normalisation() -> None:
    train, test = held(source().train), held(source().test)
    assert train.normalisation == test.normalisation
    assert abs(float(train.batch(torch.arange(180))[0].mean())) < 0.05
    assert float(test.batch(torch.arange(40))[0].mean()) < -0.5


def test_the_seed_decides_what_is_set_aside() -> None:
    assert torch.equal(held(source(1).validation).pixels, held(source(1).validation).pixels)
    assert not torch.equal(held(source(1).validation).pixels, held(source(2).validation).pixels)


def test_a_split_without_images_is_refused() -> None:
    with pytest.raises(DatasetError, match="mine has no test images"):
        from_published("mine", arrays(20), arrays(0), SHAPE, 4, 0, Augmentation())
