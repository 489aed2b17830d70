"""Data that come as training images and test images: validation images are set aside here."""

from __future__ import annotations

from torch import Tensor

from devices.errors import DatasetError
from search.augment import Augmentation
from search.data.arrays import ImageArrays, Normalisation, Shape, with_channels
from search.data.source import DataSource, stratified

VALIDATION_SHARE = 0.1
"""Of the training images, class by class."""

Arrays = tuple[Tensor, Tensor]
"""Images ``(N, C, H, W)`` uint8 and labels ``(N,)`` int64."""


def from_published(
    name: str,
    train: Arrays,
    test: Arrays,
    input_shape: Shape,
    classes: int,
    seed: int,
    augmentation: Augmentation,
    notes: tuple[str, ...] = (),
) -> DataSource:
    """Data whose test split stays as it is, and whose training split gives a tenth for validation.

    Images are normalised by the mean and standard deviation, channel by channel, of what is left of
    the training split, and resized to the input shape when a batch is drawn.

    Args:
        name: how the data are called in results.
        train: images and labels.
        test: the same.
        input_shape: ``(channels, height, width)`` of the network's input.
        classes: number of classes.
        seed: decides which images are set aside.
        augmentation: what suits training images of this kind.
        notes: what a person should know about these data, a line each.

    Raises:
        DatasetError: a split without images, images of another number of channels than the network
            takes, or images that are all alike.
    """
    for split, (_, labels) in (("training", train), ("test", test)):
        if len(labels) == 0:
            raise DatasetError(f"{name} has no {split} images", "there is nothing to learn from")
    pixels = with_channels(train[0], input_shape[0], name)
    kept, aside = stratified(train[1], (1 - VALIDATION_SHARE, VALIDATION_SHARE), seed)
    kept_pixels = pixels[kept]
    normalisation = Normalisation.of(kept_pixels)

    def split_of(images: Tensor, labels: Tensor) -> ImageArrays:
        return ImageArrays(images, labels, input_shape, normalisation)

    return DataSource(
        name,
        split_of(kept_pixels, train[1][kept]),
        split_of(pixels[aside], train[1][aside]),
        split_of(with_channels(test[0], input_shape[0], name), test[1]),
        input_shape,
        classes,
        notes,
        augmentation,
    )
