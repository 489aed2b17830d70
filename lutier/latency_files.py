"""Latencies of whole networks on several devices, in a CSV or Parquet file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from devices.errors import InputError, UnknownNameError
from devices.files import write_at_once
from profiler.exchange import csv_file, parquet
from profiler.exchange.figures import number_of, shorten
from profiler.exchange.source import Source

_NAMES = ("arch", "architecture", "arch_str", "architecture_str", "key", "__index_level_0__")
_SHOWN = 12


def read_latencies(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table of latencies: a row an architecture, a column a device.

    The column ``arch``, ``architecture`` or ``key`` names the rows, or else the first one. An empty
    cell, or NaN, is a latency that is not known; all others are numbers.

    Args:
        path: a CSV or Parquet file.
        columns: which devices; by default all.

    Raises:
        InputError: not such a file, no column beside the names, a cell that is no number.
        UnknownNameError: no such device.
    """
    source = Source.read(path)
    cells = _cells(source)
    names = next((name for name in _NAMES if name in cells), next(iter(cells), ""))
    devices = [name for name in cells if name != names]
    if not devices:
        raise InputError(
            f"{source.name} is not a table of latencies",
            f"its only column is {shorten(names, 40)}",
            "a column of architectures, and one of latencies in ms for each device",
        )
    for name in columns:
        if name not in devices:
            raise UnknownNameError.of(f"column of {source.name}", name[:80], devices)
    rows = [str(cell).strip() for cell in cells[names]]
    if not rows:
        raise InputError(f"{source.name} is not a table of latencies", "it has no rows")
    if not any(_is_name(row) for row in rows):
        raise InputError(
            f"{source.name} does not say which architectures it is about",
            f"the column {shorten(names, 40)} holds numbers like {shorten(rows[0], 40)}",
            "put the architectures into the first column, or into one named arch",
        )
    chosen = list(dict.fromkeys(columns)) or devices
    return pd.DataFrame(
        {name: _numbers(source.name, name, rows, cells[name]) for name in chosen},
        index=pd.Index(rows, name=names),
    )


def read_measured(path: Path, column: str | None = None) -> pd.Series:
    """Latencies of one device, in the same format.

    Args:
        path: a CSV or Parquet file.
        column: which, where there are several.

    Raises:
        InputError: as :func:`read_latencies`, or several columns and none chosen.
        UnknownNameError: no such column.
    """
    frame = read_latencies(path, () if column is None else (column,))
    if frame.shape[1] != 1:
        known = ", ".join(shorten(str(name), 40) for name in frame.columns[:_SHOWN])
        raise InputError(
            f"{path.name} has {frame.shape[1]} columns of latencies",
            f"they are {known}",
            f"--column {frame.columns[0]}",
        )
    return frame.iloc[:, 0]


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV or Parquet, as the suffix says: all of it, or the file stays as it was.

    Raises:
        InputError: another suffix, or a file that cannot be written.
    """
    check_suffix(path)
    if path.suffix.lower() == ".csv":
        data = frame.to_csv(lineterminator="\n").encode()
    else:
        buffer = io.BytesIO()
        frame.reset_index().to_parquet(buffer, index=False)
        data = buffer.getvalue()
    try:
        write_at_once(path, data)
    except OSError as error:
        raise InputError(f"cannot write {path}", error.strerror or str(error)) from error


def check_suffix(path: Path) -> None:
    """Raise where a file to write is neither CSV nor Parquet.

    Raises:
        InputError: another suffix.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"{path} does not say its format", hint="a name that ends in .csv")


def _cells(source: Source) -> dict[str, list[object]]:
    """The columns of a file, by name, in their order."""
    if source.data.startswith(parquet.MAGIC):
        table = parquet.read_arrow(source)
        rows = parquet.python_rows(source.name, table)
        return {name: [row[name] for row in rows] for name in table.column_names}
    lines = [line for line in source.text().splitlines(keepends=True) if not line.startswith("#")]
    names, cells = csv_file.parse_csv(source.name, lines)
    for number, row in enumerate(cells, start=2):
        if len(row) != len(names):
            raise InputError(
                f"row {number} of {source.name} has {len(row)} cells",
                f"there are {len(names)} columns",
            )
    return {name: [row[i] for row in cells] for i, name in enumerate(names)}


def _numbers(file: str, column: str, rows: Sequence[str], cells: Sequence[object]) -> list[float]:
    numbers = []
    for row, cell in zip(rows, cells, strict=True):
        if _is_empty(cell):
            numbers.append(math.nan)
            continue
        try:
            numbers.append(number_of(cell))
        except InputError as error:
            raise InputError(
                f"{shorten(column, 40)} of {shorten(row, 80)} in {file} is no latency",
                str(error),
                "leave empty what was not measured, and leave out columns of anything else",
            ) from error
    return numbers


def _is_empty(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in ("", "nan")
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _is_name(text: str) -> bool:
    """Whether a cell can be the name of an architecture: anything but a broken number."""
    try:
        return number_of(text).is_integer()
    except InputError:
        return bool(text)
