"""Page: what an address answers with, as HTML and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lutier import __version__
from lutier.plots.wording import interval_text
from lutier.serve.drawing import share_svg
from lutier.serve.query import address
from lutier.terminal import percent
from search.budget import format_ms


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        template: name of its template.
        title: of the browser's window, and its headline.
        section: which entry of the navigation it belongs to.
        data: what it says, as JSON holds it.
        shown: what the template shows.
        status: of the answer.
    """

    template: str
    title: str
    section: str
    data: Mapping[str, Any]
    shown: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200

    def html(self, version: str) -> str:
        """The page as HTML.

        Args:
            version: of the files that it loads.
        """
        return (
            _environment()
            .get_template(self.template)
            .render({"title": self.title, "section": self.section, "assets": version, **self.shown})
        )


@dataclass(frozen=True)
class File:
    """A file to be saved.

    Attributes:
        name: that it is saved under.
        text: what is in it.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Finished:
    """A whole page that was made elsewhere, with the policy it was made for."""

    html: str
    policy: str


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lutier.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(ms=_ms, percent=_percent, when=when)
    environment.globals.update(
        address=address, interval=interval_text, meter=share_svg, version=__version__
    )
    return environment


def _ms(value: float | None) -> str:
    return "" if value is None else format_ms(value)


def _percent(share: float | None) -> str:
    return "" if share is None else percent(share)


def when(moment: datetime | None) -> str:
    """A time for a person, in UTC."""
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
