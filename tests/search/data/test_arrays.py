from __future__ import annotations

import pytest
import torch

from devices.errors import DatasetError
from search.data.arrays import ImageArrays, Normalisation, check_labels, resized, with_channels


def pixels(count: int = 50, channels: int = 3, size: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def arrays(channels: int = 3, shape: tuple[int, int, int] = (3, 6, 6)) -> ImageArrays:
    images = pixels(channels=channels)
    return ImageArrays(images, torch.arange(50) % 5, shape, Normalisation.of(images))


def test_normalised_images_have_mean_0_and_deviation_1_in_each_channel() -> None:
    images, labels = arrays().batch(torch.arange(50))
    assert images.dtype == torch.float32
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    assert labels.tolist()[:6] == [0, 1, 2, 3, 4, 0]


def test_an_item_is_what_a_batch_holds() -> None:
    data = arrays(shape=(3, 4, 9))
    images, labels = data.batch(torch.tensor([7, 3]))
    assert images.shape == (2, 3, 4, 9)
    image, label = data[3]
    assert torch.equal(image, images[1])
    assert label == labels[1] == 3


def test_one_grey_channel_is_repeated() -> None:
    images, _ = arrays(channels=1).batch(torch.tensor([0]))
    assert images.shape == (1, 3, 6, 6)
    assert torch.equal(images[:, 0], images[:, 2])


def test_colours_are_made_grey_by_their_brightness() -> None:
    green = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    green[:, 1] = 100
    assert with_channels(green, 1, "mine").unique().tolist() == [59]
    with pytest.raises(DatasetError, match="images of mine have 3 channels: the network takes 4"):
        with_channels(green, 4, "mine")


def test_images_that_shrink_are_smoothed() -> None:
    board = torch.eye(8).expand(1, 1, 8, 8)
    small = resized(board, 2, 2)
    assert small.shape == (1, 1, 2, 2)
    assert small.mean() == pytest.approx(float(board.mean()), rel=0.1)
    assert resized(board, 8, 8) is board


def test_images_all_alike_are_refused() -> None:
    with pytest.raises(DatasetError, match="all alike"):
        Normalisation.of(torch.full((9, 1, 4, 4), 7, dtype=torch.uint8))


def test_a_label_without_a_class_is_refused() -> None:
    check_labels("here", torch.tensor([0, 1]), "ab")
    with pytest.raises(DatasetError, match="here has the label 2: there are 2 classes, 0 to 1"):
        check_labels("here", torch.tensor([0, 2]), "ab")
