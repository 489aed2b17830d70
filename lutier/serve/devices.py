"""The first page: every target, and what was measured on it."""

from __future__ import annotations

from typing import Any

from lutier.serve.page import Page
from lutier.serve.query import Query
from lutier.serve.shelf import Shelf, name_of
from profiler.storage.reader import TableFacts

_SIZE = 24


def devices_page(shelf: Shelf, query: Query, shown_db: str) -> Page:
    """Targets with the facts of their machine, the latest measured first.

    Args:
        shelf: the tables.
        query: ``q``, a part of a target or of a fact; ``page``.
        shown_db: which database it is, without a password.
    """
    wanted = query.text("q").lower()
    every = shelf.store.overview()
    found = [each for each in every if wanted in _words(each)]
    pages = query.pages(found, size=_SIZE)
    return Page(
        "devices.html.j2",
        "Devices",
        "devices",
        {
            "db": shown_db,
            **pages.place,
            "tables": [_document(each) for each in pages.items],
        },
        {
            "cards": [(each, name_of(each.target, each.environment.id)) for each in pages.items],
            "db": shown_db,
            "is_empty": not every,
            "pages": pages,
            "query": query,
        },
    )


def _words(facts: TableFacts) -> str:
    pairs = (f"{name} {value}" for name, value in facts.environment.facts)
    return "\n".join((facts.target, facts.environment.id, *pairs)).lower()


def _document(facts: TableFacts) -> dict[str, Any]:
    last = facts.last_measured
    return {
        "target": facts.target,
        "environment_id": facts.environment.id,
        "environment": facts.environment.to_dict(),
        "measured": dict(facts.measured),
        "failures": facts.failures,
        "measuring": facts.measuring,
        "judged": facts.judged,
        "sound": facts.sound,
        "last_measured": None if last is None else last.isoformat(timespec="seconds"),
    }
