"""Query: what the address of a page asks for, checked before anything is looked up."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from devices.errors import InputError, UnknownNameError

MOST_PARAMETERS = 20
MOST_CHARACTERS = 1000
"""Of one value: twice the longest key that a store takes."""
PAGE_SIZE = 100
_MOST_DIGITS = 9

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """The path of an address, and its parameters.

    Attributes:
        path: of the page.
        values: parameters by name.
    """

    path: str
    values: Mapping[str, str]

    @classmethod
    def of(cls, path: str, pairs: Collection[tuple[str, str]]) -> Query:
        """Check the parameters of an address.

        Raises:
            InputError: too many, too long, one of them twice, or not text.
        """
        values = dict(pairs)
        if len(pairs) > MOST_PARAMETERS or len(values) != len(pairs):
            raise InputError(
                "the address has too many parameters, or one of them twice",
                f"{len(pairs)} were given, {MOST_PARAMETERS} are the most",
            )
        for name, value in values.items():
            if len(name) > MOST_CHARACTERS or len(value) > MOST_CHARACTERS:
                raise InputError(
                    f"{name[:40]} is too long", f"{MOST_CHARACTERS} characters are the most"
                )
            if "\0" in name or "\0" in value:
                raise InputError(f"{name[:40]!r} is not text")
        return cls(path, values)

    def text(self, name: str) -> str:
        """A parameter; empty where it is not given."""
        return self.values.get(name, "").strip()

    def required(self, name: str) -> str:
        """A parameter that has to be there.

        Raises:
            InputError: it is not.
        """
        if not self.text(name):
            raise InputError(f"the address does not say which {name}", hint="the page of devices")
        return self.text(name)

    def choice(self, name: str, choices: Collection[str], default: str = "") -> str:
        """One of some words; the default where none is given.

        Raises:
            UnknownNameError: another word.
        """
        value = self.text(name) or default
        if value and value not in choices:
            raise UnknownNameError.of(name, value[:80], choices)
        return value

    def number(self, name: str = "page") -> int:
        """A page to turn to, from 1.

        Raises:
            InputError: not a number.
        """
        text = self.text(name) or "1"
        # Short before it is read: Python refuses to read numbers of thousands of digits.
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_number or int(text) < 1:
            raise InputError(f"{name}={text[:40]!r}", "must be a whole number from 1")
        return int(text)

    def pages(self, items: Sequence[T], name: str = "page", size: int = PAGE_SIZE) -> Pages[T]:
        """One page of some items; the last one where there are fewer."""
        return Pages.of(items, self.number(name), name, size)

    def link(self, **changed: str | int | None) -> str:
        """The address of the same page with other parameters; ``None`` leaves one out."""
        values = {**self.values, **changed}
        return address(self.path, **{name: value for name, value in values.items() if value})


@dataclass(frozen=True)
class Pages(Generic[T]):
    """Some of many items.

    Attributes:
        items: those of this page.
        number: of this page, from 1.
        total: number of all items.
        size: items of a page.
        name: of the parameter that turns the page.
    """

    items: tuple[T, ...]
    number: int
    total: int
    size: int
    name: str

    @classmethod
    def of(cls, items: Sequence[T], number: int, name: str, size: int) -> Pages[T]:
        """One page of items; the last one where there are fewer."""
        last = max(math.ceil(len(items) / size), 1)
        number = min(number, last)
        chosen = tuple(items[(number - 1) * size : number * size])
        return cls(chosen, number, len(items), size, name)

    @property
    def count(self) -> int:
        """Number of pages."""
        return max(math.ceil(self.total / self.size), 1)

    @property
    def first(self) -> int:
        """Number of the first item of this page, from 1."""
        return min((self.number - 1) * self.size + 1, self.total)

    @property
    def last(self) -> int:
        """Number of the last item of this page."""
        return min(self.number * self.size, self.total)

    @cached_property
    def place(self) -> dict[str, Any]:
        """Where this page is, as JSON holds it."""
        return {"page": self.number, "pages": self.count, "total": self.total, "size": self.size}


def address(path: str, **values: str | int) -> str:
    """The address of a page, on this server whatever the path holds."""
    local = "/" + quote(path.lstrip("/\\"))
    query = urlencode(values, quote_via=quote)
    return f"{local}?{query}" if query else local
