"""The page of results that were found in a folder, and the report of one of them."""

from __future__ import annotations

import html
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.errors import InputError, LutierError, MissingError
from lutier.serve.page import Finished, Page, when
from lutier.serve.query import Query, address
from lutier.serve.shelf import Kept, Shelf, name_of
from lutier.settings import Settings

if TYPE_CHECKING:
    from lutier.results import SearchResult

RESULT_FILE = "result.json"
DEEPEST = 4
"""Levels below the folder that are looked through."""
MOST_FOLDERS = 20_000
MOST_BYTES = 50_000_000
"""Of a result that is read."""
_SIZE = 50
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')
_SHOWN = (
    "method",
    "architecture",
    "space",
    "target",
    "environment_id",
    "data",
    "budget_ms",
    "predicted_ms",
    "measured_ms",
    "measured_interval_ms",
    "accuracy",
    "validation_accuracy",
    "seed",
    "lutier_version",
)


@dataclass(frozen=True)
class Entry:
    """One result that was found.

    Attributes:
        name: its folder, seen from the folder that is looked through.
        written_at: UTC, without a zone.
        result: what is in it; ``None`` where it cannot be read.
        problem: why not.
    """

    name: str
    written_at: datetime
    result: SearchResult | None
    problem: str = ""


class Results:
    """The results below a folder. Nothing outside of it is ever read.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: Kept[SearchResult | LutierError] = Kept(500)
        self._one_report = threading.Lock()

    def folders(self) -> dict[str, Path]:
        """Folders with a result by their names, as far down as :data:`DEEPEST`.

        Links are not followed, so that none leads outside.
        """
        return dict(_walk(self.root))

    def entries(self) -> list[Entry]:
        """Every result, the latest first."""
        found = [self._entry(name, folder) for name, folder in self.folders().items()]
        return sorted(found, key=lambda each: (each.written_at, each.name), reverse=True)

    def _entry(self, name: str, folder: Path) -> Entry:
        path = folder / RESULT_FILE
        try:
            facts = path.stat()
        except OSError as error:
            return Entry(name, datetime.min, None, str(error.strerror))
        written_at = datetime.fromtimestamp(facts.st_mtime, UTC).replace(tzinfo=None)
        if facts.st_size > MOST_BYTES:
            return Entry(name, written_at, None, f"{RESULT_FILE} is larger than 50 MB")
        key = (path, facts.st_mtime_ns, facts.st_size)
        found = self._read.get(key, lambda: _read(path))
        if isinstance(found, LutierError):
            return Entry(name, written_at, None, found.why or found.what)
        return Entry(name, written_at, found)

    def find(self, name: str) -> tuple[Entry, Path]:
        """One result and its folder.

        Raises:
            MissingError: no result of that name.
        """
        # The name is looked up among those that were found: it is no path that could lead away.
        folder = self.folders().get(name)
        if folder is None:
            raise MissingError(f"no result {name[:80]!r}", hint="the page of runs")
        return self._entry(name, folder), folder

    def report(self, name: str, settings: Settings, db: str | None) -> Finished:
        """The report of one result, made now.

        Raises:
            MissingError: no result of that name.
            MissingExtraError: plotly is not installed.
            InputError: the result cannot be shown.
        """
        from lutier.plots.evidence import gather_evidence
        from lutier.plots.runs import find_runs
        from lutier.report.page import render_report
        from lutier.report.plot import require_plotly
        from lutier.storage import open_reader

        entry, folder = self.find(name)
        if entry.result is None:
            raise InputError(f"the result {name[:80]!r} cannot be shown", entry.problem)
        require_plotly()
        with self._one_report:
            runs = find_runs([folder])
            evidence = gather_evidence(runs, settings, [folder], db, open_reader)
            page = render_report(runs, evidence, settings, "report.html", address("runs"))
        policy = _POLICY.search(page)
        if policy is None:
            raise AssertionError("a report without a policy")
        return Finished(page, html.unescape(policy[1]) + "; frame-ancestors 'none'")


def _read(path: Path) -> SearchResult | LutierError:
    from lutier.results import read_result

    try:
        return read_result(path)
    except LutierError as error:
        return error


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    for number, (place, below, files) in enumerate(os.walk(root)):
        if number >= MOST_FOLDERS:
            return
        folder = Path(place)
        parts = folder.relative_to(root).parts
        below[:] = sorted(each for each in below if not each.startswith("."))
        if len(parts) >= DEEPEST:
            below.clear()
        name = "/".join(parts) or "."
        file = folder / RESULT_FILE
        if RESULT_FILE in files and file.is_file() and not file.is_symlink() and _is_text(name):
            yield name, folder


def _is_text(name: str) -> bool:
    """Whether a name can be part of an address."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def runs_page(shelf: Shelf, results: Results | None, query: Query) -> Page:
    """The results in a folder, the latest first.

    Args:
        shelf: the tables that results may have been made with.
        results: where they are; ``None`` where no folder was named.
        query: ``q``, a part of a name, a space or a target; ``page``.
    """
    every = results.entries() if results else []
    wanted = query.text("q").lower()
    pages = query.pages([each for each in every if wanted in _words(each)], size=_SIZE)
    return Page(
        "runs.html.j2",
        "Runs",
        "runs",
        {**pages.place, "runs": [document(each) for each in pages.items]},
        {
            "pages": pages,
            "root": None if results is None else str(results.root),
            "query": query,
            "tables": {name_of(of.target, of.environment.id) for of in shelf.store.overview()},
            "when": when,
        },
    )


def _words(entry: Entry) -> str:
    result = entry.result
    more = [result.space, result.target, result.method, result.architecture] if result else []
    return "\n".join([entry.name, *more]).lower()


def document(entry: Entry) -> Mapping[str, Any]:
    """One result as JSON holds it, without the details of its method."""
    return {
        "name": entry.name,
        "written_at": entry.written_at.isoformat(timespec="seconds"),
        "problem": entry.problem,
        **({} if entry.result is None else {n: getattr(entry.result, n) for n in _SHOWN}),
    }
