"""What a notebook shows of an object that knows how a terminal shows it."""

from __future__ import annotations

import io
from typing import Protocol, runtime_checkable

from rich.console import Console, RenderableType

_WIDTH = 100
_FORMAT = (
    '<pre style="font-family: ui-monospace, Menlo, Consolas, monospace; line-height: 1.35;'
    ' white-space: pre; overflow-x: auto">{code}</pre>'
)


@runtime_checkable
class Shown(Protocol):
    """Something with a look of its own in a terminal."""

    def __rich__(self) -> RenderableType:
        """What a terminal shows."""


def shown_html(shown: Shown) -> str:
    """The same as HTML; every text in it is escaped."""
    console = Console(record=True, file=io.StringIO(), width=_WIDTH, emoji=False, highlight=False)
    console.print(shown.__rich__())
    return console.export_html(inline_styles=True, code_format=_FORMAT)
