"""The page of one op or network: its timed runs, how sure its latency is, and the conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from devices.errors import InputError, MissingEntryError
from lutier.plots.latency_map import findings_of
from lutier.report.csv_files import runs_csv
from lutier.serve.drawing import Histogram, visits_svg
from lutier.serve.page import File, Page, when
from lutier.serve.query import Query
from lutier.serve.shelf import Shelf, name_of
from lutier.serve.table import slug
from profiler.ops import OpSpec
from profiler.rules import explain
from profiler.storage.portable import SUMMARY, PortableRow
from profiler.table import LatencyTable
from profiler.visit import EXPONENTS, Scale, Visit
from search.budget import format_ms

_VISITS = 50


def op_page(shelf: Shelf, query: Query) -> Page:
    """One row of a table.

    Args:
        shelf: the tables.
        query: ``target``, ``key``; ``page`` of its visits.

    Raises:
        MissingEntryError: no such row, and it was not tried either.
    """
    target, table = shelf.find(query.required("target"))
    key = query.required("key")
    row = shelf.store.row(target, table.environment_id, key)
    name = name_of(table.target, table.environment_id)
    if row is None:
        return _failure_page(shelf, query, table)
    visits = [Visit.from_columns(each.samples_ms, each.reference_ms) for each in row.recorded]
    figures = figures_ms(row, visits)
    known = row.ci_low_ms is not None and row.ci_high_ms is not None
    interval = (float(row.ci_low_ms or 0), float(row.ci_high_ms or 0)) if known else None
    runs = [value for visit in visits for value in visit.samples_ms]
    histogram = Histogram.of(runs)
    latency_ms = _in_network(table, key)
    label = (
        f"{len(runs)} timed runs in {len(visits)} visits, from {format_ms(min(runs))} to"
        f" {format_ms(max(runs))}; the median of the visits is {format_ms(row.median_ms)}"
        if runs
        else ""
    )
    return Page(
        "op.html.j2",
        key,
        "devices",
        {
            "target": table.target,
            "environment_id": table.environment_id,
            "key": key,
            "role": row.role,
            "latency_ms": latency_ms,
            **dict(zip(SUMMARY, row.figures, strict=True)),
            "protocol": dict(row.protocol),
            "environment": table.environment.to_dict(),
            "artifact_sha256": row.artifact_sha256,
            "visit_figures_ms": figures,
            "samples_ms": [list(visit.samples_ms) for visit in visits],
            "reference_ms": [list(visit.reference_ms) for visit in visits],
        },
        {
            "row": row,
            "name": name,
            "table": table,
            "spec": _spec(key) if row.role == "op" else None,
            "latency_ms": latency_ms,
            "findings": findings_of(row.findings),
            "explain": explain,
            "histogram": histogram,
            "bars": histogram.svg(f"Distribution of {label}", [("line-mark", row.median_ms)]),
            "dots": visits_svg(
                [visit.samples_ms for visit in visits],
                figures if len(figures) == len(visits) else [],
                interval,
                f"Visits in order: {label}",
            ),
            "interval_ms": interval,
            "figures": figures,
            "pages": query.pages(list(enumerate(row.recorded, 1)), size=_VISITS),
            "when": when,
            "query": query,
        },
    )


def figures_ms(row: PortableRow, visits: list[Visit]) -> list[float]:
    """The latency that stands for each visit, in ms, at the speed of the table.

    Empty where it is not known how the visits were brought to that speed.
    """
    exponent = row.exponent or 0.0
    if exponent not in EXPONENTS or (exponent and row.nominal_ms is None):
        return []
    scale = Scale(exponent, row.nominal_ms if row.nominal_ms is not None else math.nan)
    return [scale.correction(visit) * visit.fastest_ms for visit in visits]


def op_file(shelf: Shelf, query: Query) -> File:
    """Every timed run of one row as a CSV file."""
    target, table = shelf.find(query.required("target"))
    key = query.required("key")
    row = shelf.store.row(target, table.environment_id, key)
    if row is None:
        raise _not_there(table, key)
    return File(f"{slug(key)}.csv", runs_csv("", row).text)


def _failure_page(shelf: Shelf, query: Query, table: LatencyTable) -> Page:
    target, key = shelf.find(query.required("target"))[0], query.required("key")
    why = shelf.store.failure(target, table.environment_id, key)
    if why is None:
        raise _not_there(table, key)
    return Page(
        "failure.html.j2",
        key,
        "devices",
        {
            "target": table.target,
            "environment_id": table.environment_id,
            "key": key,
            "failure": why,
        },
        {"table": table, "name": name_of(table.target, table.environment_id), "why": why},
    )


def _not_there(table: LatencyTable, key: str) -> MissingEntryError:
    return MissingEntryError(f"{key[:200]} is not in the latency table of {table.target}")


def _in_network(table: LatencyTable, key: str) -> float | None:
    frame = table.frame
    found = frame.loc[(frame["key"] == key) & (frame["role"] == "op"), "latency_ms"]
    return float(found.iloc[0]) if len(found) else None


def _spec(key: str) -> Mapping[str, Any] | None:
    """What an op is made of; ``None`` for one of a vocabulary that is not this one's."""
    try:
        spec = OpSpec.parse(key)
    except InputError:
        return None
    return {
        "kind": spec.kind,
        "input": "x".join(map(str, spec.input_shape)),
        "output": "x".join(map(str, spec.output_shape)),
        **{name.replace("_", " "): value for name, value in spec.attributes},
        "FLOPs": f"{spec.flops:,}",
        "parameters": f"{spec.parameters:,}",
    }
