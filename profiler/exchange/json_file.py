"""Our own JSON: one object, everything in it, every float exactly as it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from devices.environment import Environment
from devices.errors import InputError
from profiler.exchange import columns
from profiler.exchange.reading import Reading
from profiler.exchange.report import Written
from profiler.exchange.source import Source
from profiler.storage.portable import PortableRow


def write(target: str, environment: Environment, rows: Sequence[PortableRow]) -> Written:
    """A table as JSON; what is not known is null."""
    document = columns.header(target, environment, rows)
    document["rows"] = [_plain(columns.cells(row)) for row in rows]
    # Floats are written by repr: the shortest text that reads back as the same float.
    text = json.dumps(document, indent=1, allow_nan=False)
    return Written(text.encode() + b"\n", len(rows))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and value != value else value


def read(source: Source) -> Reading:
    """The rows of a table in JSON: an object as :func:`write` makes it, or a list of rows.

    Raises:
        InputError: not JSON, or JSON of something else.
    """
    document = source.json()
    said: dict[str, Any] = {}
    rows = document
    if isinstance(document, dict):
        rows = document.get("rows")
        said = {name: value for name, value in document.items() if name != "rows"}
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            f"{source.name} is not one of Lutier's tables", "it has no list of rows", "--format"
        )
    names = list(dict.fromkeys(name for row in rows for name in row))
    latency = columns.latency_column(source.name, names) if rows else columns.LATENCY_NAMES[0]
    entries = [columns.entry(row, latency) for row in rows]
    return columns.reading(source.name, said, entries)
