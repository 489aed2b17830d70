"""Whether latencies can be in the unit they are said to be in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from devices.errors import InputError
from profiler.ops import OpSpec
from profiler.storage.portable import PortableRow

LARGE_FLOPS = 1_000_000
"""Ops below this are ruled by overhead: their throughput says nothing."""
SLOWEST_FLOPS, FASTEST_FLOPS = 3e8, 5e12
"""Median throughput of large ops in FLOP/s: a small board's core does more, no GPU at work on
single images does as much."""
NETWORK_MS = (0.05, 2_000.0)
OP_MS = (1e-4, 1_000.0)
"""Median latencies that are likely, in ms."""


def suspicions(rows: Sequence[PortableRow], unit: str) -> tuple[str, ...]:
    """Why the latencies of a table look as if they were in another unit; empty where they do not.

    Medians over the whole table are judged: a unit is wrong for all rows or for none.

    Args:
        rows: measurements, in ms.
        unit: what they were taken to be in before they were ms.
    """
    found = []
    ops = [row for row in rows if row.role == "op"]
    large = [(spec, row) for row in ops if (spec := _spec(row)) and spec.flops >= LARGE_FLOPS]
    if large:
        rate = statistics.median(spec.flops / (row.median_ms / 1000) for spec, row in large)
        what = f"the median of {len(large)} large ops is {rate / 1e9:.3g} GFLOP/s"
        found.append(_judge(what, rate < SLOWEST_FLOPS, rate > FASTEST_FLOPS, unit))
    elif ops:
        found.append(_range(ops, "op", OP_MS, unit))
    networks = [row for row in rows if row.role == "network"]
    if networks:
        found.append(_range(networks, "network", NETWORK_MS, unit))
    return tuple(text for text in found if text)


def _spec(row: PortableRow) -> OpSpec | None:
    try:
        return OpSpec.parse(row.key)
    except InputError:
        return None


def _range(rows: Sequence[PortableRow], word: str, likely: tuple[float, float], unit: str) -> str:
    median_ms = statistics.median(row.median_ms for row in rows)
    what = f"the median of {len(rows)} {word}s is {median_ms:.4g} ms"
    return _judge(what, median_ms > likely[1], median_ms < likely[0], unit)


def _judge(what: str, is_slow: bool, is_fast: bool, unit: str) -> str:
    """A suspicion in words; empty where there is none."""
    if not (is_slow or is_fast):
        return ""
    smaller, larger = {"ms": ("us", "s"), "us": ("", "ms"), "s": ("ms", "")}[unit]
    other = smaller if is_slow else larger
    names = {"us": "microseconds", "ms": "milliseconds", "s": "seconds"}
    word = "slow" if is_slow else "fast"
    guess = f"looks like {names[other]}: --unit {other}" if other else "check the unit"
    return f"{what} if the file is in {unit}, which is very {word}; {guess}"
