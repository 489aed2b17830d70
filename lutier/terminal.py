"""What is printed: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from rich.console import Console

# No emoji: a text such as mlflow:x: is not a red cross.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def to_json(value: Any) -> Any:
    """A value with nothing in it that JSON lacks: NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output, where that was asked for, quiet or not."""
    sys.stdout.write(json.dumps(to_json(value)) + "\n")


def print_hanging(head: str, text: str, indent: int) -> None:
    """Print text behind a head, all further lines indented.

    In a terminal lines are broken between words; elsewhere, and where a word is too long, they are
    left in one piece for whoever reads or copies them.

    Args:
        head: with markup; it is as wide as ``indent`` at the most.
        text: plain.
        indent: of the text, in characters.
    """
    width = max(out.width - indent - 1, 20) if out.is_terminal else sys.maxsize
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    out.print(head, end="")
    out.print(f"\n{' ' * indent}".join(lines), markup=False)


def duration(seconds: float) -> str:
    """A time to wait for a person: ``40 s``, ``3 min``, ``unknown`` where it is not known."""
    if not math.isfinite(seconds):
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def percent(share: float) -> str:
    """A relative figure for a person: ``1.2 %``, ``unknown`` where it is not known."""
    return f"{share * 100:.1f} %" if math.isfinite(share) else "unknown"
