"""What is printed: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
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


def duration(seconds: float) -> str:
    """A time to wait for a person: ``40 s``, ``3 min``, ``unknown`` where it is not known."""
    if not math.isfinite(seconds):
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def percent(share: float) -> str:
    """A relative figure for a person: ``1.2 %``, ``unknown`` where it is not known."""
    return f"{share * 100:.1f} %" if math.isfinite(share) else "unknown"
