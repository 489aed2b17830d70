"""Images kept as bytes, and made what a network takes when a batch of them is asked for.

60,000 images of 28x28 pixels are 47 MB as bytes; resized to three channels of 96x96 floats they
would be 6.6 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from devices.errors import DatasetError

Shape = tuple[int, int, int]

# Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601).
_BRIGHTNESS = (0.299, 0.587, 0.114)
_CHUNK = 4096


@dataclass(frozen=True)
class Normalisation:
    """What brings the pixels of a training split to mean 0 and standard deviation 1.

    Attributes:
        mean: of each channel, pixels from 0 to 1.
        std: of each channel, likewise.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, pixels: Tensor) -> Normalisation:
        """From bytes ``(N, C, H, W)``.

        Raises:
            DatasetError: a channel whose pixels are all alike.
        """
        channels = pixels.shape[1]
        counts = torch.zeros(channels, 256, dtype=torch.float64)
        for start in range(0, len(pixels), _CHUNK):
            chunk = pixels[start : start + _CHUNK]
            for channel in range(channels):
                values = chunk[:, channel].flatten().long()
                counts[channel] += torch.bincount(values, minlength=256)
        values = torch.arange(256, dtype=torch.float64) / 255
        shares = counts / counts.sum(1, keepdim=True)
        means = shares @ values
        stds = (shares * (values - means[:, None]) ** 2).sum(1).sqrt()
        if not bool((stds > 0).all()):
            raise DatasetError(
                "the pixels of the training images are all alike", "there is nothing to learn from"
            )
        return cls(tuple(means.tolist()), tuple(stds.tolist()))


class ImageArrays(Dataset[tuple[Tensor, int]]):
    """Labelled images as bytes; items and batches are resized, normalised floats.

    Args:
        pixels: ``(N, C, H, W)`` uint8.
        labels: ``(N,)`` int64.
        shape: ``(channels, height, width)`` that a network takes. One grey channel is repeated.
        normalisation: of the training split.
    """

    def __init__(
        self, pixels: Tensor, labels: Tensor, shape: Shape, normalisation: Normalisation
    ) -> None:
        self.pixels = pixels
        self.labels = labels
        self.shape = shape
        self.normalisation = normalisation

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        images, labels = self.batch(torch.tensor([index]))
        return images[0], int(labels[0])

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, *shape)`` and labels ``(n,)`` at ``n`` indices."""
        channels, height, width = self.shape
        images = self.pixels[indices].float() / 255
        mean, std = (
            torch.tensor(values)[:, None, None]
            for values in (self.normalisation.mean, self.normalisation.std)
        )
        images = resized((images - mean) / std, height, width)
        return images.expand(-1, channels, -1, -1), self.labels[indices]


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Float images ``(N, C, H, W)`` in another size, bilinearly; smoothed where they shrink."""
    if images.shape[-2:] == (height, width):
        return images
    shrinks = images.shape[-2] > height or images.shape[-1] > width
    return F.interpolate(
        images, size=(height, width), mode="bilinear", align_corners=False, antialias=shrinks
    )


def with_channels(pixels: Tensor, channels: int, name: str) -> Tensor:
    """Bytes ``(N, C, H, W)`` for a network of so many input channels: colours made grey if need be.

    Grey images are left as they are: :class:`ImageArrays` repeats their channel.

    Raises:
        DatasetError: grey or coloured images for a network of some other number of channels.
    """
    given = pixels.shape[1]
    if given in (1, channels):
        return pixels
    if (given, channels) != (3, 1):
        raise DatasetError(
            f"images of {name} have {given} channels",
            f"the network takes {channels}",
            "a space with 1 or 3 input channels",
        )
    grey = torch.empty(len(pixels), 1, *pixels.shape[2:], dtype=torch.uint8)
    weights = torch.tensor(_BRIGHTNESS)[:, None, None]
    for start in range(0, len(pixels), _CHUNK):
        chunk = pixels[start : start + _CHUNK].float()
        grey[start : start + _CHUNK] = (chunk * weights).sum(1, keepdim=True).round()
    return grey


def check_labels(where: str, labels: Tensor, classes: Sequence[str]) -> None:
    """Raise :class:`DatasetError` where a label has no class."""
    highest = int(labels.max()) if len(labels) else 0
    if highest >= len(classes):
        raise DatasetError(
            f"{where} has the label {highest}",
            f"there are {len(classes)} classes, 0 to {len(classes) - 1}",
            "get the file again",
        )
