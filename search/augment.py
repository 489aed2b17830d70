"""Training images changed at random, so that a network does not learn them by heart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from devices.errors import InputError, UnknownNameError
from search.team import ALONE, Team

KINDS = ("crop", "flip", "cutout")
CROP = 0.125
CUTOUT = 0.5


@dataclass(frozen=True)
class Augmentation:
    """What is done to each training image, every time it is drawn.

    Attributes:
        crop: by how much of its side an image is shifted at the most, either way; the border is
            repeated where the image has left it. 0.125 is 4 pixels of 32.
        flip: whether left and right change places, every other time.
        cutout: side of the square that is painted over with the mean colour, as a share of the
            image's (DeVries, Taylor, arXiv:1708.04552, who take 0.5 for CIFAR-10).
    """

    crop: float = 0.0
    flip: bool = False
    cutout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("crop", "cutout"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name}={value}", "it is a share of the image, 0 to below 1")

    @classmethod
    def parse(cls, text: str) -> Augmentation | None:
        """From ``crop+flip``, ``none``, or ``default``: what suits the data, which is ``None``.

        Raises:
            UnknownNameError: neither of these.
        """
        if text == "default":
            return None
        kinds = [] if text == "none" else text.split("+")
        for kind in kinds:
            if kind not in KINDS:
                raise UnknownNameError.of("augmentation", kind, (*KINDS, "none", "default"))
        return cls(
            CROP if "crop" in kinds else 0.0, "flip" in kinds, CUTOUT if "cutout" in kinds else 0.0
        )


NONE = Augmentation()


def augmented(
    images: Tensor, how: Augmentation, generator: torch.Generator, team: Team = ALONE
) -> Tensor:
    """A batch with each image changed on its own.

    Args:
        images: ``(N, C, H, W)`` floats of mean 0, on the CPU.
        how: what is done. Nothing is drawn where nothing is done.
        generator: decides.
        team: processes that share out each batch, whose generators are alike. An image is changed
            as it is where one process has the whole batch.

    Returns:
        ``(N, C, H, W)``.
    """
    if how == NONE:
        return images
    *_, height, width = images.shape
    count = team.size * len(images)
    rows = torch.arange(height).expand(count, -1)
    columns = torch.arange(width).expand(count, -1)
    if how.flip:
        flipped = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(flipped, width - 1 - columns, columns)
    if how.crop:
        rows = _shifted(rows, round(how.crop * height), generator)
        columns = _shifted(columns, round(how.crop * width), generator)
    ours = slice(team.rank, None, team.size)
    batch = torch.arange(len(images))[:, None, None]
    # Indices first, so the channels end up last.
    changed = images[batch, :, rows[ours, :, None], columns[ours, None, :]].permute(0, 3, 1, 2)
    if how.cutout:
        inside = (
            _inside(height, how.cutout, count, generator)[:, None, :, None]
            & (_inside(width, how.cutout, count, generator)[:, None, None, :])
        )
        changed = changed.masked_fill(inside[ours], 0.0)
    return changed


def _shifted(indices: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Indices ``(N, size)`` moved by up to ``most``, each row on its own, kept within the image."""
    count, size = indices.shape
    by = torch.randint(-most, most + 1, (count, 1), generator=generator)
    return (indices + by).clamp(0, size - 1)


def _inside(size: int, share: float, count: int, generator: torch.Generator) -> Tensor:
    """Which of ``size`` places a stretch around a random middle covers: ``(count, size)``."""
    length = round(share * size)
    start = torch.randint(0, size, (count, 1), generator=generator) - length // 2
    places = torch.arange(size)
    return (places >= start) & (places < start + length)
