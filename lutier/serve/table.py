"""The page of one latency table: kinds, maps, rows, failures; and its rows as a file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from lutier.plots.latency_map import Cell, LatencyMap, findings_of, latency_maps
from lutier.report.csv_files import csv_file
from lutier.serve.drawing import strip_svg
from lutier.serve.page import File, Page
from lutier.serve.query import Query
from lutier.serve.shelf import Shelf, name_of
from profiler.quality import SOUND
from profiler.rules import RULES, explain
from profiler.storage.portable import SUMMARY
from profiler.table import LatencyTable

MOST_CELLS = 1500
"""How many ops of one kind are drawn as maps."""
ROLES = ("op", "network", "carrier", "kernel", "call")
SORTS = ("key", "role", "latency_ms", "median_ms", "split_half", "visits", "runs", "finished_at")
VERDICTS = ("sound", "doubtful", "unjudged", *RULES)
_COLUMNS = ("key", "role", "latency_ms", *SUMMARY, "artifact_sha256", "finished_at")
_COUNTS = ("visits", "runs")
_FAILURES = 50


@dataclass(frozen=True)
class Kind:
    """The ops of one kind, in ms."""

    name: str
    count: int
    fastest_ms: float
    median_ms: float
    slowest_ms: float


@dataclass(frozen=True)
class Chosen:
    """The rows that a query asks for, in its order.

    Attributes:
        frame: the rows, as of :attr:`LatencyTable.frame`.
        total: how many the table has.
        sort: column that they are sorted by.
        is_descending: whether the largest comes first.
    """

    frame: pd.DataFrame
    total: int
    sort: str
    is_descending: bool


def table_page(shelf: Shelf, query: Query) -> Page:
    """One table.

    Args:
        shelf: the tables.
        query: ``target``; ``q``, ``role``, ``kind``, ``verdict`` of rows; ``sort``, ``page``,
            ``failed``, the page of failures.

    Raises:
        InputError: what the query asks for makes no sense.
        MissingTableError: no such table.
    """
    target, table = shelf.find(query.required("target"))
    name = name_of(table.target, table.environment_id)
    chosen = choose(table, query)
    pages = query.pages(range(len(chosen.frame)))
    rows = rows_of(chosen.frame.iloc[list(pages.items)])
    wanted = query.text("q").lower()
    every_failure = shelf.store.failures(target, table.environment_id)
    failures = query.pages(
        [each for each in sorted(every_failure.items()) if wanted in each[0].lower()],
        "failed",
        _FAILURES,
    )
    kinds = kinds_of(table)
    kind = query.text("kind")
    return Page(
        "table.html.j2",
        table.target,
        "devices",
        {
            "target": table.target,
            "environment_id": table.environment_id,
            "environment": table.environment.to_dict(),
            "digest": table.digest,
            "split_half_error": table.split_half_error,
            "trustworthy": table.is_trustworthy,
            "findings": dict(table.findings),
            **pages.place,
            "sort": ("-" if chosen.is_descending else "") + chosen.sort,
            "rows": rows,
            "failures": [{"key": key, "reason": why} for key, why in failures.items],
            "failures_total": failures.total,
        },
        {
            "table": table,
            "name": name,
            "chosen": chosen,
            "pages": pages,
            "rows": rows,
            "failures": failures,
            "kinds": kinds,
            "strip": _strips(kinds),
            "maps": maps_of(table, kind) if kind else (),
            "too_many": _is_too_many(table, kind),
            "most_cells": MOST_CELLS,
            "query": query,
            "csv": replace(query, path="/table.csv").link(page=None, failed=None, format=None),
            "roles": [role for role in ROLES if (table.frame["role"] == role).any()],
            "verdicts": VERDICTS,
            "rules": [
                (rule, explain(rule), count) for rule, count in sorted(table.findings.items())
            ],
            "findings_of": findings_of,
        },
    )


def table_file(shelf: Shelf, query: Query) -> File:
    """The rows that a query asks for, all of them, as a CSV file."""
    _, table = shelf.find(query.required("target"))
    frame = choose(table, query).frame
    values = (list(row.values()) for row in rows_of(frame))
    name = f"{slug(table.target)}-{table.environment_id}.csv"
    return File(name, csv_file(name, _COLUMNS, values).text)


def choose(table: LatencyTable, query: Query) -> Chosen:
    """Filter and sort the rows of a table."""
    frame = table.frame
    total = len(frame)
    role, kind = query.choice("role", ROLES), query.text("kind")
    verdict, wanted = query.choice("verdict", VERDICTS), query.text("q")
    if role:
        frame = frame[frame["role"] == role]
    if kind:
        frame = frame[(frame["role"] == "op") & (_kinds(frame) == kind)]
    if wanted:
        keys = frame["key"].astype(str)
        frame = frame[keys.str.contains(wanted, case=False, regex=False)]
    if verdict:
        frame = frame[frame["findings"].map(_test(verdict)).astype(bool)]
    given = query.choice("sort", [*SORTS, *(f"-{each}" for each in SORTS)], "-latency_ms")
    column = given.removeprefix("-")
    frame = frame.sort_values(column, ascending=not given.startswith("-"), kind="stable")
    return Chosen(frame, total, column, given.startswith("-"))


def _test(verdict: str) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return verdict == "unjudged"
        if verdict == "doubtful":
            return value != SOUND
        return verdict in value.split()

    return test


def _kinds(frame: pd.DataFrame) -> pd.Series[str]:
    return frame["key"].astype(str).str.partition("/")[0]


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a page shows them; what is not known is ``None``."""
    rows = frame[list(_COLUMNS)].to_dict(orient="records")
    return [{str(name): _plain(str(name), value) for name, value in row.items()} for row in rows]


def _plain(name: str, value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    # Whole numbers turn into others in a column where some are not known.
    return int(value) if name in _COUNTS else value


def kinds_of(table: LatencyTable) -> list[Kind]:
    """The kinds of the ops of a table, by name."""
    frame = table.frame
    ops = frame[frame["role"] == "op"]
    if ops.empty:
        return []
    grouped = ops["latency_ms"].astype(float).groupby(_kinds(ops))
    figures = grouped.agg(["count", "min", "median", "max"])
    return [
        Kind(str(name), int(count), float(low), float(middle), float(high))
        for name, count, low, middle, high in figures.itertuples()
    ]


def _strips(kinds: list[Kind]) -> dict[str, str]:
    lows = [kind.fastest_ms for kind in kinds if kind.fastest_ms > 0]
    if not lows:
        return {}
    ends = (min(lows), max(kind.slowest_ms for kind in kinds))
    return {
        kind.name: strip_svg(kind.fastest_ms, kind.median_ms, kind.slowest_ms, ends)
        for kind in kinds
        if kind.fastest_ms > 0
    }


def _is_too_many(table: LatencyTable, kind: str) -> bool:
    return sum(spec.kind == kind for spec in table.ops) > MOST_CELLS


def maps_of(table: LatencyTable, kind: str) -> list[LatencyMap]:
    """The ops of one kind as maps; none where they are too many, or have no kernel."""
    specs = [spec for spec in table.ops if spec.kind == kind]
    if len(specs) > MOST_CELLS:
        return []
    said: Mapping[str, Any] = dict(zip(table.frame["key"], table.frame["findings"], strict=True))
    cells = {}
    for spec in specs:
        latency_ms, error = table.ops[spec], table.relative_error(spec)
        known = math.isfinite(error)
        findings = said.get(spec.key)
        cells[spec] = Cell(
            spec.key,
            "measured",
            latency_ms,
            latency_ms * (1 - error) if known else None,
            latency_ms * (1 + error) if known else None,
            findings_of(findings if isinstance(findings, str) else None),
        )
    return latency_maps(cells)


def slug(text: str) -> str:
    """A text as part of the name of a file."""
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", text)[:80].strip("._") or "table"
