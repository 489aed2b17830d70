"""Figures from outside: a latency, or the reason why it is none."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real

from devices.errors import InputError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST = 400

UNITS = ("ms", "us", "s")
"""Units a file may be in."""


def number_of(value: object) -> float:
    """A finite number from a cell of any type.

    Text is read strictly: no underscores, no hexadecimal, no sexagesimal, no spelt-out infinity.

    Raises:
        InputError: anything else; the message is the reason.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            raise InputError("no value")
        if text.lower().lstrip("+-.") in ("nan", "inf", "infinity"):
            raise InputError(f"{text} is not a latency")
        if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
            raise InputError(f"not a number: {shorten(text, 40)!r}")
        number = float(text)
    elif value is None:
        raise InputError("no value")
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"not a number: {type(value).__name__}")
    else:
        try:
            number = float(value)
        except OverflowError:
            raise InputError("larger than any float") from None
    if math.isnan(number):
        raise InputError("NaN is not a latency")
    if math.isinf(number):
        raise InputError("infinite")
    return number


def latency_ms_of(value: object, unit: str) -> float:
    """A latency in ms from a cell of any type.

    Args:
        value: the cell.
        unit: one of :data:`UNITS`, what the cell is in.

    Raises:
        InputError: not a number, NaN, negative, zero, infinite.
    """
    number = number_of(value)
    if number < 0:
        raise InputError(f"negative: {number!r}")
    if number == 0:
        raise InputError("zero: nothing takes no time")
    return in_ms(number, unit)


def in_ms(number: float, unit: str) -> float:
    """A positive time in ms, correctly rounded.

    Raises:
        InputError: too small or too large to be held in ms.
    """
    # Divided, not multiplied by 0.001, which no float holds exactly.
    scaled = {"ms": number, "us": number / 1000, "s": number * 1000}[unit]
    if not 0 < scaled < math.inf:
        raise InputError(f"{number!r} {unit} cannot be held in ms")
    return scaled


def count_of(value: object) -> int:
    """A whole number of at least 1 from a cell of any type.

    Raises:
        InputError: anything else.
    """
    number = int(value) if isinstance(value, Integral) else number_of(value)
    if isinstance(value, bool) or number < 1 or number >= 1 << 31 or number != int(number):
        raise InputError(f"not a count: {shorten(str(value), 40)}")
    return int(number)


def shorten(text: str, most: int = 200) -> str:
    """Text from outside as a message can show it: one line of printable characters."""
    clean = "".join(character if character.isprintable() else "?" for character in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 3] + "..."
