"""Raw figures as CSV files that a page carries in itself."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from profiler.storage.portable import SUMMARY, PortableRow
from profiler.table import LatencyTable

Value = str | int | float | bool | None
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class CsvFile:
    """A file that can be saved from within the page.

    Attributes:
        name: that it is saved under.
        text: what is in it.
    """

    name: str
    text: str

    @property
    def uri(self) -> str:
        """The whole file as an address."""
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(self.text.encode()).decode()


def csv_file(name: str, head: Sequence[str], rows: Iterable[Sequence[Value]]) -> CsvFile:
    """A file with these columns; floats are written to the last bit, what is not known is empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return CsvFile(name, buffer.getvalue())


def _harmless(value: Value) -> Value:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if is_formula else value


def table_csv(name: str, table: LatencyTable, rows: Sequence[PortableRow]) -> CsvFile:
    """Every row of a latency table: what was measured, and how sure it is."""
    frame = table.frame
    latencies = dict(zip(frame["key"], frame["latency_ms"], strict=True))
    head = ("key", "role", "latency_ms", *SUMMARY, "artifact_sha256", "finished_at")
    return csv_file(
        name,
        head,
        (
            (
                row.key,
                row.role,
                float(latencies[row.key]),
                *row.figures,
                row.artifact_sha256,
                _time(row.finished_at),
            )
            for row in rows
        ),
    )


def runs_csv(name: str, row: PortableRow) -> CsvFile:
    """Every timed run of one row, a line for each visit, with the reference beside it."""
    most = max((len(visit.samples_ms) for visit in row.recorded), default=0)
    head = ("visit", "measured_at", "reference_ms", *(f"run_{i}_ms" for i in range(1, most + 1)))
    return csv_file(
        name,
        head,
        (
            (
                number,
                _time(visit.measured_at),
                min(visit.reference_ms, default=None),
                *visit.samples_ms,
            )
            for number, visit in enumerate(row.recorded, 1)
        ),
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
