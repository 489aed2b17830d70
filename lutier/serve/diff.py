"""The page that lays two latency tables side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from devices.errors import InputError
from lutier.serve.drawing import Histogram
from lutier.serve.page import Page
from lutier.serve.query import Query
from lutier.serve.shelf import Shelf, name_of
from profiler.diff import Change, TableDiff

SORTS = ("change", "ratio", "first_ms", "second_ms", "key")
MOST_TABLES = 500
_ONLY = 100


def diff_page(shelf: Shelf, query: Query) -> Page:
    """Two tables, or the question which.

    Args:
        shelf: the tables.
        query: ``a``, ``b``: ``TARGET@ENVIRONMENT_ID``; ``show``, ``sort``, ``q``, ``page``.

    Raises:
        InputError: one table twice, or what is no target.
        MissingTableError: no such table.
        MissingEntryError: they have no row in common.
    """
    a, b = query.text("a"), query.text("b")
    names = [
        name_of(each.target, each.environment.id)
        for each in shelf.store.overview()
        if each.last_measured
    ]
    shown: dict[str, Any] = {"names": names[:MOST_TABLES], "a": a, "b": b, "query": query}
    if not (a and b):
        return Page(
            "diff.html.j2", "Compare two tables", "diff", {"tables": names}, {**shown, "diff": None}
        )
    first, second = shelf.find(a)[1], shelf.find(b)[1]
    name, other = (name_of(each.target, each.environment_id) for each in (first, second))
    if name == other:
        raise InputError(f"{a} and {b} are one and the same table", hint="two different ones")
    found = shelf.diff(first, second)
    changes = choose(found, query)
    pages = query.pages(changes)
    ratios = sorted(change.ratio for change in found.changes)
    histogram = Histogram.of(ratios)
    quantiles = {share: float(np.quantile(ratios, share)) for share in (0.05, 0.5, 0.95)}
    return Page(
        "diff.html.j2",
        "Compare two tables",
        "diff",
        {
            **found.to_dict(),
            "quantiles": {f"{share:g}": value for share, value in quantiles.items()},
            **pages.place,
            "changes": [asdict(change) for change in pages.items],
        },
        {
            **shown,
            "diff": found,
            "pages": pages,
            "show": query.choice("show", ("all", "flagged"), "all"),
            "sort": query.text("sort") or "-change",
            "first": name,
            "second": other,
            "only": [
                ("only in A", found.only_first[:_ONLY], len(found.only_first)),
                ("only in B", found.only_second[:_ONLY], len(found.only_second)),
            ],
            "quantiles": quantiles,
            "histogram": histogram,
            "bars": histogram.svg(
                f"Distribution of B over A, {len(ratios)} rows, median {found.ratio:.3f}",
                [("line-mark", found.ratio), ("line-quiet", 1.0)],
            ),
        },
    )


def choose(found: TableDiff, query: Query) -> list[Change]:
    """The changes that a query asks for, in its order; by default the largest first."""
    show = query.choice("show", ("all", "flagged"), "all")
    wanted = query.text("q").lower()
    sort = query.choice("sort", [*SORTS, *(f"-{each}" for each in SORTS)], "-change")
    changes = found.flagged if show == "flagged" else found.changes
    chosen = [change for change in changes if wanted in change.key.lower()]
    column = sort.removeprefix("-")

    def place(change: Change) -> Any:
        return abs(change.change) if column == "change" else getattr(change, column)

    return sorted(chosen, key=place, reverse=sort.startswith("-"))
