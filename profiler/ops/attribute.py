"""Attribute: what a kind of op can be told, beyond the shape of its input."""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import InputError, UnknownNameError

Value = int | str

LARGEST = 1 << 20
"""Largest number in an op: a channel count or a size beyond it is a typing error."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of a kind: a whole number, or one of ``choices``.

    Attributes:
        name: how it is written in keys.
        least: smallest number.
        most: largest number.
        choices: the words allowed, where it is no number.
        odd: only odd numbers.
        default: what it is where nothing is said; ``None`` where it has to be said.
        in_key: whether a key says it even where it has its default. False for an attribute that a
            kind got after tables had been filled, so that the keys in them stay the keys of the
            same ops.
    """

    name: str
    least: int = 1
    most: int = LARGEST
    choices: tuple[str, ...] = ()
    odd: bool = False
    default: Value | None = None
    in_key: bool = True

    def is_said(self, value: Value) -> bool:
        """Whether the key of an op with this value names the attribute."""
        return self.in_key or value != self.default

    def parse(self, text: str) -> Value:
        """Read a value from a key."""
        if self.choices:
            return text
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise InputError(f"{self.name}={text[:40]!r}", "not a whole number")
        return int(text)

    def check(self, value: Value) -> Value:
        """Return the value, or raise :class:`InputError` saying what would be allowed."""
        if self.choices:
            if value not in self.choices:
                raise UnknownNameError.of(self.name, str(value), self.choices)
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"{self.name}={value!r}", "not a whole number")
        if not self.least <= value <= self.most:
            raise InputError(f"{self.name}={value}", f"must be {self.least} to {self.most}")
        if self.odd and value % 2 == 0:
            raise InputError(f"{self.name}={value}", "must be odd, so that padding is symmetric")
        return value
