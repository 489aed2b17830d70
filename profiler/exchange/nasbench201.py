"""Latencies of NAS-Bench-201 networks: a column of architecture strings, one column a device.

Source: Dong and Yang, ICLR 2020, whose networks are written
``|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|``; tables of their
latencies are published with HW-NAS-Bench (Li et al., ICLR 2021) and HELP (Lee et al., NeurIPS
2021), as CSV or Parquet once they are out of their pickles.

Rows become whole networks with the key ``nasbench201:`` and that string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from devices.errors import InputError, UnknownNameError
from profiler.exchange import csv_file, parquet
from profiler.exchange.figures import shorten
from profiler.exchange.reading import Entry, Reading
from profiler.exchange.source import Source
from profiler.ops.nasbench201 import OPS

PREFIX = "nasbench201:"
_OP = f"(?:{'|'.join(OPS)})"
_ARCHITECTURE = re.compile(rf"\|{_OP}~0\|\+\|{_OP}~0\|{_OP}~1\|\+\|{_OP}~0\|{_OP}~1\|{_OP}~2\|")
_NAMES = ("arch", "architecture", "arch_str", "architecture_str")


def read(source: Source, column: str | None = None) -> Reading:
    """The networks in a file, with the latencies of one device.

    Args:
        source: Parquet, or CSV.
        column: the device; may be left out where there is a single one.

    Raises:
        InputError: neither Parquet nor CSV, no column of architectures, or several devices and
            none chosen.
        UnknownNameError: no such column.
    """
    names, rows = _table(source)
    architectures = _architecture_column(source.name, names, rows)
    devices = [name for name in names if name != architectures]
    chosen = _device(source.name, devices, column)
    entries = [_entry(row.get(architectures), row.get(chosen)) for row in rows]
    notes = ("the file does not say whether a figure is a mean or a median, nor of how many runs",)
    return Reading(entries, settings={"column": shorten(chosen, 80)}, notes=notes)


def _table(source: Source) -> tuple[list[str], list[dict[str, Any]]]:
    if source.data.startswith(parquet.MAGIC):
        table = parquet.read_arrow(source)
        return table.column_names, parquet.python_rows(source.name, table)
    lines = source.text().splitlines(keepends=True)
    names, rows = csv_file.parse_csv(source.name, lines)
    # A row that is too short lacks its last cells; what is missing is rejected as such.
    return names, [dict(zip(names, row, strict=False)) for row in rows]


def _architecture_column(name: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    for column in (*(known for known in _NAMES if known in names), *names):
        if any(_is_architecture(row.get(column)) for row in rows[:100]):
            return column
    known = ", ".join(shorten(column, 40) for column in names[:12])
    raise InputError(
        f"{name} has no column of NAS-Bench-201 networks",
        f"it has {known}; such a network is written |nor_conv_3x3~0|+|...",
    )


def _device(name: str, devices: Sequence[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in devices:
            raise UnknownNameError.of(f"column of {name}", wanted[:80], devices)
        return wanted
    if len(devices) != 1:
        known = ", ".join(shorten(device, 40) for device in devices[:20]) or "none"
        raise InputError(
            f"{name} has {len(devices)} devices, and a table is of one",
            f"they are {known}",
            f"--column {devices[0]}" if devices else "",
        )
    return devices[0]


def _is_architecture(value: object) -> bool:
    return isinstance(value, str) and _ARCHITECTURE.fullmatch(value) is not None


def _entry(architecture: object, value: object) -> Entry:
    if not _is_architecture(architecture):
        name = str(architecture)[:200]
        return Entry(name, value, role="network", reason="not a NAS-Bench-201 architecture")
    return Entry(str(architecture), value, f"{PREFIX}{architecture}", role="network")
