"""Our own CSV: a header of comment lines, then one row a measurement.

The comment lines are ``# name: JSON`` and hold what is said once: format, target, environment and
protocols. A CSV without them, with the columns ``key`` and ``median_ms``, is read too. Single runs
do not travel in CSV.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from devices.environment import Environment
from devices.errors import InputError
from profiler.exchange import columns
from profiler.exchange.figures import shorten
from profiler.exchange.reading import Entry, Reading
from profiler.exchange.report import Written
from profiler.exchange.source import Source
from profiler.storage.portable import PortableRow


def write(target: str, environment: Environment, rows: Sequence[PortableRow]) -> Written:
    """A table as CSV; what is not known is an empty cell."""
    text = io.StringIO()
    said = {**columns.header(target, environment, rows), "rows": len(rows)}
    for name, value in said.items():
        text.write(f"# {name}: {json.dumps(value)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns.COLUMNS)
    for row in rows:
        cells = columns.cells(row)
        writer.writerow([_text(cells[name]) for name in columns.COLUMNS])
    return Written(text.getvalue().encode(), len(rows))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    # repr: the shortest text that reads back as the same float.
    return value.isoformat() if isinstance(value, datetime) else str(value)


def read(source: Source) -> Reading:
    """The rows of a table in CSV.

    Raises:
        InputError: not CSV, or without the columns.
    """
    lines = source.text().splitlines(keepends=True)
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    names, rows = parse_csv(source.name, lines[len(comments) :])
    latency = columns.latency_column(source.name, names)
    entries = []
    for row in rows:
        if len(row) != len(names):
            reason = f"{len(row)} cells in a table of {len(names)} columns"
            entries.append(Entry(row[0][:200], reason=reason, value="?", key=row[0][:200]))
            continue
        entries.append(columns.entry(dict(zip(names, row, strict=True)), latency))
    said = _said(source.name, comments)
    wanted = said.pop("rows", len(rows))
    # Text may end anywhere and still be CSV, its last figure with fewer digits.
    if wanted != len(rows) or (comments and not lines[-1].endswith(("\n", "\r"))):
        raise InputError(
            f"{source.name} is not a whole table",
            f"it says that it has {shorten(str(wanted), 20)} rows, and ends in row {len(rows)}",
            "remove the line '# rows:' if rows were taken out on purpose",
        )
    return columns.reading(source.name, said, entries)


def parse_csv(name: str, lines: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Column names and rows of CSV text; blank lines are left out.

    Raises:
        InputError: not CSV, or a column twice.
    """
    try:
        table = [row for row in csv.reader(lines, strict=True) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{name} is not CSV", str(error)[:200]) from error
    if not table:
        raise InputError(f"{name} is not a latency table", "it has no rows")
    names = [cell.strip() for cell in table[0]]
    if len(set(names)) != len(names):
        raise InputError(f"{name} is not a latency table", "a column stands there twice")
    return names, table[1:]


def _said(name: str, comments: Sequence[str]) -> dict[str, Any]:
    """What the comment lines say; empty where they are none of ours."""
    if not comments or not comments[0].startswith("# format:"):
        return {}
    said: dict[str, Any] = {}
    for line in comments:
        part, _, text = line[1:].partition(":")
        try:
            said[part.strip()] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{name} is not a whole table", f"cannot read {part[:40]!r}"
            ) from error
    return said
