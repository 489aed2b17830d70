"""A file from outside: read once, whole, and no further than a limit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from devices.errors import InputError

SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes above which a file is no latency table."""
_PICKLE_PROTOCOLS = range(1, 16)
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth")


@dataclass(frozen=True)
class Source:
    """The bytes of a file, and what to call it in messages.

    Attributes:
        name: the file's name without its folder.
        data: all of its bytes.
    """

    name: str
    data: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path, limit: int = SIZE_LIMIT) -> Source:
        """Read a file.

        Raises:
            InputError: no such file, a folder, not readable, empty, larger than ``limit`` bytes,
                or a pickle.
        """
        shown = _printable(str(path))
        try:
            if not path.exists():
                raise InputError(f"no file {shown}")
            if not path.is_file():
                raise InputError(f"{shown} is not a file", "a folder or a device")
            # Asked first, so that nobody waits for a gigabyte only to see it refused.
            if path.stat().st_size > limit:
                raise _too_large(path.name, limit)
            with path.open("rb") as file:
                data = file.read(limit + 1)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {shown}", str(error)[:300]) from error
        return cls.of(path.name, data, limit)

    @classmethod
    def of(cls, name: str, data: bytes, limit: int = SIZE_LIMIT) -> Source:
        """The bytes of a file that were read already; errors as :meth:`read`."""
        if len(data) > limit:
            raise _too_large(name, limit)
        if not data.strip():
            raise InputError(f"{name} is empty")
        _refuse_pickle(name, data)
        return cls(name, data)

    @cached_property
    def sha256(self) -> str:
        """Of all bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def facts(self) -> dict[str, str]:
        """All that is known of the machine where a file says nothing of it."""
        return {"imported": f"{_printable(self.name)} sha256:{self.sha256}"}

    def text(self) -> str:
        """The contents as text.

        Raises:
            InputError: not UTF-8, or nothing but blanks.
        """
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name} is not text", f"byte {error.start} is not UTF-8") from (
                error
            )
        if not text.strip():
            raise InputError(f"{self.name} is empty")
        return text

    def json(self) -> Any:
        """The contents as JSON.

        Raises:
            InputError: not JSON, or nested too deeply.
        """
        try:
            return json.loads(self.text())
        except RecursionError as error:
            raise InputError(f"{self.name} is not a table", "nested too deeply") from error
        except ValueError as error:
            raise InputError(f"{self.name} is not JSON", str(error)[:200]) from error


def _too_large(name: str, limit: int) -> InputError:
    return InputError(f"{name} is too large", f"a table has at most {limit >> 20} MiB")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:200]


def _refuse_pickle(name: str, data: bytes) -> None:
    """Refuse what only unpickling could read: that runs whatever code the file holds."""
    is_pickle = data[:1] == b"\x80" and len(data) > 1 and data[1] in _PICKLE_PROTOCOLS
    is_archive = data[:4] == b"PK\x03\x04"
    if not (is_pickle or is_archive or name.lower().endswith(_PICKLE_SUFFIXES)):
        return
    what = "a zip archive, as torch saves" if is_archive else "a pickle"
    raise InputError(
        f"{name} is {what}",
        "opening it could run code that it holds, so it is never loaded",
        "whoever made it can write it as CSV with the columns key and median_ms",
    )
