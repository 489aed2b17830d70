"""The pages as one ASGI application."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from devices.errors import InputError, LutierError, MissingError, MissingExtraError, StoreError
from lutier.report.style import source, style_sheet
from lutier.serve.assets import own_source
from lutier.serve.devices import devices_page
from lutier.serve.diff import diff_page
from lutier.serve.guard import ASSETS, Door, Guard
from lutier.serve.op import op_file, op_page
from lutier.serve.page import File, Finished, Page
from lutier.serve.query import Query
from lutier.serve.runs import Results, document, runs_page
from lutier.serve.shelf import Shelf
from lutier.serve.table import table_file, table_page
from lutier.settings import Settings
from lutier.terminal import to_json
from profiler.storage.reader import StoreReader

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

Answer = Page | File | Finished
_A_YEAR = "public, max-age=31536000, immutable"
"""For files whose address changes when they do."""


@dataclass(frozen=True)
class Site:
    """What is served.

    Attributes:
        store: the measurements.
        settings: which database that is.
        db: its URL, where one was typed.
        results: the folder of results; ``None`` where none was named.
    """

    store: StoreReader
    settings: Settings
    db: str | None = None
    results: Results | None = None


def make_app(site: Site, door: Door) -> ASGIApp:
    """The application: it only reads, and lets in whom the door lets in."""
    shelf = Shelf(site.store)
    assets = _assets()
    version = hashlib.sha256("".join(text for text, _ in assets.values()).encode()).hexdigest()[:12]

    def run_page(query: Query) -> Answer:
        if site.results is None:
            raise MissingError("no folder of results is served", hint="lutier serve --runs DIR")
        name = query.required("name")
        if query.text("format") == "json":
            entry, _ = site.results.find(name)
            details = {} if entry.result is None else entry.result.details
            return Page("", "", "", {**document(entry), "details": details})
        return site.results.report(name, site.settings, site.db)

    makers: Mapping[str, Callable[[Query], Answer]] = {
        "/": lambda query: devices_page(shelf, query, site.settings.shown_db),
        "/table": lambda query: table_page(shelf, query),
        "/table.csv": lambda query: table_file(shelf, query),
        "/op": lambda query: op_page(shelf, query),
        "/op.csv": lambda query: op_file(shelf, query),
        "/runs": lambda query: runs_page(shelf, site.results, query),
        "/run": run_page,
        "/diff": lambda query: diff_page(shelf, query),
    }

    def problem(request: Request, error: Exception) -> Response:
        return _problem(request, error, version)

    routes = [Route(path, _endpoint(make, version)) for path, make in makers.items()]
    routes += [Route(ASSETS + name, _asset(*asset)) for name, asset in assets.items()]
    app = Starlette(
        routes=routes,
        exception_handlers={
            LutierError: problem,
            HTTPException: problem,
            Exception: problem,
        },
    )
    app.router.redirect_slashes = False
    return Guard(
        app,
        door,
        lambda onward: _shown(
            Page("welcome.html.j2", "Welcome", "", {}, {"onward": onward}), version
        ),
        lambda: _shown(Page("refusal.html.j2", "A token is needed", "", {}, status=401), version),
    )


def _assets() -> dict[str, tuple[str, str]]:
    """Files that pages load: contents and type by name."""
    style = "text/css; charset=utf-8"
    script = "text/javascript; charset=utf-8"
    return {
        "serve.css": (style_sheet() + own_source("serve.css"), style),
        "theme.js": (source("theme.js"), script),
        "serve.js": (own_source("serve.js"), script),
    }


def _asset(text: str, media_type: str) -> Callable[[Request], Response]:
    def answer(_: Request) -> Response:
        return Response(text, headers={"cache-control": _A_YEAR}, media_type=media_type)

    return answer


def _endpoint(make: Callable[[Query], Answer], version: str) -> Callable[[Request], Response]:
    # Not a coroutine: it runs in a thread, and others are answered meanwhile.
    def answer(request: Request) -> Response:
        pairs = [each for each in request.query_params.multi_items() if each[0] != "token"]
        query = Query.of(request.url.path, pairs)
        as_json = _wants_json(request)
        if as_json:
            query = Query(query.path, {**query.values, "format": "json"})
        made = make(query)
        if isinstance(made, Page):
            return _json(made.data) if as_json else _shown(made, version)
        if isinstance(made, File):
            disposition = f'attachment; filename="{made.name}"'
            headers = {"content-disposition": disposition}
            return Response(made.text, headers=headers, media_type="text/csv; charset=utf-8")
        return HTMLResponse(made.html, headers={"content-security-policy": made.policy})

    return answer


def _wants_json(request: Request) -> bool:
    said = request.query_params.get("format", "")
    if said not in ("", "html", "json"):
        raise InputError(f"format={said[:40]!r}", "pages are html or json", "format=json")
    accepted = request.headers.get("accept", "")
    return said == "json" or (
        not said and "application/json" in accepted and "text/html" not in accepted
    )


def _shown(page: Page, version: str) -> Response:
    return HTMLResponse(page.html(version), page.status)


def _json(data: Mapping[str, Any], status: int = 200) -> Response:
    text = json.dumps(to_json(data), ensure_ascii=True)
    return Response(text + "\n", status, media_type="application/json")


def _problem(request: Request, error: Exception, version: str) -> Response:
    """What went wrong, in a line."""
    status, said = _status(error), str(error)
    if isinstance(error, HTTPException):
        said = "no such page" if status == 404 else error.detail
    elif not isinstance(error, LutierError):
        # What it says may be about anything; the terminal shows it.
        said = "this page cannot be made; the terminal that lutier serve runs in says why"
    try:
        as_json = _wants_json(request)
    except InputError:
        as_json = False
    if as_json:
        return _json({"error": said}, status)
    if request.url.path.endswith(".csv"):
        return PlainTextResponse(said + "\n", status)
    hint = error.hint if isinstance(error, LutierError) else ""
    shown = {"said": said, "hint": hint, "error": error if isinstance(error, LutierError) else None}
    return _shown(Page("problem.html.j2", _TITLES[status], "", {}, shown, status), version)


_TITLES = {
    400: "This cannot be answered",
    404: "Not there",
    500: "Something went wrong",
    501: "A package is missing",
    503: "The database cannot be read",
}


def _status(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code if error.status_code in _TITLES else 400
    for kind, status in (
        (StoreError, 503),
        (InputError, 400),
        (MissingExtraError, 501),
        (MissingError, 404),
        (LutierError, 400),
    ):
        if isinstance(error, kind):
            return status
    return 500
