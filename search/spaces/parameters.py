"""What the names of spaces say: ``mobile?resolution=96&depth=2-2-2-2-2-1``.

Every built-in space has the same parameters. One space has one name: what equals the default is
left out of it, and a depth is written as the cells of each stage, however it was given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from devices.errors import InputError

MOST_CELLS = 64
MOST_CHANNELS = 16_384
_LIST = re.compile(r"[0-9]{1,9}(-[0-9]{1,9})+")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def canonical(name: str, parameters: Mapping[str, tuple[float | str, float | str]]) -> str:
    """The space's name with the parameters that differ from their defaults.

    Args:
        name: of the space.
        parameters: value and default of each, in the order they are written.
    """
    given = [
        f"{key}={_written(value)}"
        for key, (value, default) in parameters.items()
        if value != default
    ]
    return f"{name}?{'&'.join(given)}" if given else name


def _written(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(value)


def check(name: str, resolution: int, width: float, classes: int, multiple: int = 1) -> None:
    """Raise :class:`InputError` where a parameter is out of its range.

    Args:
        name: of the space.
        resolution: 8 to 4096 pixels.
        width: 0.05 to 10.
        classes: 2 to 1,000,000.
        multiple: what the resolution must be a multiple of.
    """
    if not 8 <= resolution <= 4096:
        raise InputError(f"{name}?resolution={resolution}", "must be 8 to 4096 pixels")
    if resolution % multiple:
        raise InputError(
            f"{name}?resolution={resolution}",
            f"must be a multiple of {multiple}: it is halved on the way without a remainder",
            f"{name}?resolution={resolution // multiple * multiple}",
        )
    if not (math.isfinite(width) and 0.05 <= width <= 10):
        raise InputError(f"{name}?width={width}", "must be 0.05 to 10")
    if not 2 <= classes <= 1_000_000:
        raise InputError(f"{name}?classes={classes}", "must be 2 to 1000000")


def scaled(width: int, multiplier: float) -> int:
    """A width times a multiplier, a multiple of 8, never more than a tenth below (MobileNetV2)."""
    wanted = width * multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def cells_of(name: str, depth: str | float, default: Sequence[int]) -> tuple[int, ...]:
    """How many cells each stage has.

    Args:
        name: of the space.
        depth: the cells of each stage, ``2-3-4-3-3-1``; or a multiplier on the default ones,
            rounded half up, and at least 1.
        default: the cells of each stage as published.

    Raises:
        InputError: neither, one number too many or too few, or one out of its range.
    """
    text = str(depth)
    example = join(default)
    if _LIST.fullmatch(text):
        cells = tuple(map(int, text.split("-")))
        if len(cells) != len(default):
            raise InputError(
                f"{name}?depth={text} has {len(cells)} numbers",
                f"{name} has {len(default)} stages",
                f"{name}?depth={example}",
            )
    elif _NUMBER.fullmatch(text) and 0.05 <= float(text) <= 10:
        cells = tuple(max(1, math.floor(each * float(text) + 0.5)) for each in default)
    else:
        raise InputError(
            f"{name}?depth={text[:80]}",
            "must be 0.05 to 10, which multiplies the cells of all stages, or the cells of each",
            f"{name}?depth={example}",
        )
    if not all(1 <= each <= MOST_CELLS for each in cells):
        raise InputError(f"{name}?depth={text}", f"each stage must have 1 to {MOST_CELLS} cells")
    return cells


def widths_of(name: str, widths: str, width: float, default: Sequence[int]) -> tuple[int, ...]:
    """The channels of every part of a space, where they are given one by one.

    Args:
        name: of the space.
        widths: one number a part, ``32-16-24-40-80-96-192-320-1280``.
        width: the multiplier, which cannot be given beside them.
        default: the channels as published, without a multiplier.

    Raises:
        InputError: not such numbers, one too many or too few, or a multiplier beside them.
    """
    example = f"{name}?widths={join(default)}"
    if not _LIST.fullmatch(widths):
        raise InputError(f"{name}?widths={widths[:80]}", "not numbers with - between them", example)
    channels = tuple(map(int, widths.split("-")))
    if len(channels) != len(default):
        raise InputError(
            f"{name}?widths={widths[:80]} has {len(channels)} numbers",
            f"{name} has {len(default)} parts: first convolution, first block, stages, last one",
            example,
        )
    if not all(1 <= each <= MOST_CHANNELS for each in channels):
        raise InputError(f"{name}?widths={widths[:80]}", f"each must be 1 to {MOST_CHANNELS}")
    if width != 1.0:
        raise InputError(
            f"{name} with width={width} and widths={widths[:80]}", "either of them says all widths"
        )
    return channels


def join(numbers: Sequence[int]) -> str:
    """Numbers as a parameter says them: ``4-4-4-4-4-1``."""
    return "-".join(map(str, numbers))
