"""Files that the pages load, beside those of the report."""

from __future__ import annotations

from importlib.resources import files


def own_source(name: str) -> str:
    """A file beside the templates."""
    return files("lutier.serve").joinpath("templates", name).read_text(encoding="utf-8")
