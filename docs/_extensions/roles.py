"""The roles of docstrings, ``:class:`InputError```, as mkdocstrings shows them: as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`([^`]+)`")


class Roles(griffe.Extension):
    """Writes roles and double backticks as Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """A docstring with roles as code; ``~a.b.C`` is written ``C``."""
    return ROLE.sub(lambda found: f"`{shown(found[1])}`", text)


def shown(name: str) -> str:
    """What a role shows."""
    return name.rpartition(".")[2] if name.startswith("~") else name
