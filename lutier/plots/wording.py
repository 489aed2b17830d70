"""Figures in words, the same in plots and pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.budget import format_ms

if TYPE_CHECKING:
    from lutier.plots.blocks import Block


def shape_text(shape: Sequence[int]) -> str:
    """``16x32x32``."""
    return "x".join(map(str, shape))


def latency_text(block: Block) -> str:
    """What a block takes, for a person; a tilde where a regressor says so."""
    if block.latency_ms is None or block.source == "not known":
        return "not known"
    if block.source == "free":
        return "free"
    return ("~" if block.source == "regressed" else "") + format_ms(block.latency_ms)


def interval_text(low_ms: float | None, high_ms: float | None) -> str:
    """An interval for a person; empty where it is not known."""
    if low_ms is None or high_ms is None:
        return ""
    unit, scale = ("ms", 1.0) if high_ms >= 0.1 else ("us", 1e3)
    low, high = scale * low_ms, scale * high_ms
    # As many digits as show how far the ends are apart, and no more.
    width = max(high - low, 1e-6 * high)
    digits = min(max(math.ceil(-math.log10(width)) + 1, 1), 6)
    return f"[{low:.{digits}f}, {high:.{digits}f}] {unit}"


def verdict(is_within: bool) -> str:
    """Whether a network is within its budget, in words."""
    return "within the budget" if is_within else "over the budget"
