"""What the page shows of a latency table: its maps, its verdicts, its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutier.plots.evidence import Evidence
from lutier.plots.latency_map import TableMaps, findings_of
from lutier.report.csv_files import CsvFile, runs_csv, table_csv
from profiler.rules import RULES, explain
from profiler.storage.portable import PortableRow

MOST_ROWS = 1000
"""How many rows of a table the page lists; the CSV file has all."""
MOST_BYTES = 8_000_000
"""Of the timed runs that the page carries."""
_ROLES = {"op": 0, "network": 1, "carrier": 2, "kernel": 3, "call": 4}


@dataclass(frozen=True)
class Verdict:
    """A rule of quality, and how many rows it objects to."""

    name: str
    meaning: str
    rows: int


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        id: of its element in the page.
        row: what was measured.
        latency_ms: of an op what it takes in a network.
        findings: the rules that object; ``None`` where none was asked.
        runs: its timed runs; ``None`` where they are not in the page.
    """

    id: str
    row: PortableRow
    latency_ms: float
    findings: tuple[str, ...] | None
    runs: CsvFile | None


@dataclass(frozen=True)
class TableSection:
    """One table.

    Attributes:
        id: of its element in the page.
        evidence: with the table.
        maps: for each space that was searched.
        verdicts: of the rules that object to a row.
        rows: those that are listed.
        left_out: how many are not.
        csv: all rows.
    """

    id: str
    evidence: Evidence
    maps: tuple[TableMaps, ...]
    verdicts: tuple[Verdict, ...]
    rows: tuple[Row, ...]
    left_out: int
    csv: CsvFile

    @property
    def failures(self) -> Mapping[str, str]:
        """Why by key of what could not be measured."""
        return self.evidence.failures


def table_sections(
    evidence: Mapping[str, Evidence], maps: Sequence[TableMaps]
) -> list[TableSection]:
    """The tables that were found, in the order of their targets."""
    sections = []
    for number, of in enumerate(evidence.values(), 1):
        if of.table is None:
            continue
        ordered = sorted(of.rows, key=lambda row: (_ROLES.get(row.role, 9), row.key))
        listed = ordered[:MOST_ROWS]
        sections.append(
            TableSection(
                f"table-{number}",
                of,
                tuple(each for each in maps if each.target == of.target),
                tuple(
                    Verdict(name, explain(name), count)
                    for name, count in sorted(
                        of.table.findings.items(), key=lambda item: (-item[1], item[0])
                    )
                ),
                tuple(_rows(listed, of, number)),
                len(ordered) - len(listed),
                table_csv(f"table-{number}.csv", of.table, ordered),
            )
        )
    return sections


def _rows(rows: Sequence[PortableRow], evidence: Evidence, number: int) -> list[Row]:
    if evidence.table is None:
        return []
    frame = evidence.table.frame
    latencies = dict(zip(frame["key"], frame["latency_ms"], strict=True))
    found, left = [], MOST_BYTES
    for i, row in enumerate(rows, 1):
        runs = runs_csv(f"table-{number}-row-{i}.csv", row) if row.recorded else None
        if runs is not None:
            left -= len(runs.text)
        found.append(
            Row(
                f"row-{number}-{i}",
                row,
                float(latencies[row.key]),
                findings_of(row.findings),
                runs if left > 0 else None,
            )
        )
    return found


def rules() -> list[tuple[str, str]]:
    """Every rule of quality, and what it objects to."""
    return [(name, explain(name)) for name in RULES]
