"""The elements of a page, without a browser."""

from __future__ import annotations

import re
from collections.abc import Set
from html.parser import HTMLParser


class Elements(HTMLParser):
    """Every element with its attributes, and the levels of headings; all of it is closed.

    Args:
        page: HTML.
        void: elements that need no end tag.
    """

    def __init__(self, page: str, void: Set[str]) -> None:
        super().__init__()
        self.void = void
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[int] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]
