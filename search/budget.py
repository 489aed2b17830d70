"""Latency budgets, written with their unit: ``20ms``, ``1.5 ms``, ``800us``, ``0.1s``."""

from __future__ import annotations

import math
import re

from devices.errors import InputError

_BUDGET = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]{1,3})?)\s*([a-zA-Zµμ]*)\s*")
_SMALLEST_MS, _LARGEST_MS = 1e-6, 3.6e6
_MS_PER_UNIT = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6}


def parse_budget(text: str) -> float:
    """Read a latency budget.

    Returns:
        The budget in milliseconds, positive and finite.

    Raises:
        InputError: no unit, an unknown unit, not a number, zero or negative.
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        why = "must be above zero" if text.strip().startswith("-") else "not a number with a unit"
        raise InputError(f"budget {text!r}", why, "1.5ms")
    number, unit = match.groups()
    if not unit:
        raise InputError(f"budget {text!r}", "has no unit", f"{number}ms or {number}us")
    if unit not in _MS_PER_UNIT:
        raise InputError(f"budget {text!r}", f"unknown unit {unit!r}", f"{number}ms or {number}us")
    budget_ms = float(number) * _MS_PER_UNIT[unit]
    if not math.isfinite(budget_ms) or budget_ms <= 0:
        raise InputError(f"budget {text!r}", "must be above zero and finite", "1.5ms")
    if not _SMALLEST_MS <= budget_ms <= _LARGEST_MS:
        raise InputError(f"budget {text!r}", "must be from 1ns to an hour", "1.5ms")
    return budget_ms


def format_ms(latency_ms: float) -> str:
    """Write a latency for a person: ``12.3 ms``, ``0.812 ms``, ``45.1 us``."""
    if not math.isfinite(latency_ms):
        return str(latency_ms)
    if abs(latency_ms) >= 100:
        return f"{latency_ms:.0f} ms"
    if abs(latency_ms) >= 10:
        return f"{latency_ms:.1f} ms"
    if abs(latency_ms) >= 1:
        return f"{latency_ms:.2f} ms"
    if abs(latency_ms) >= 0.1:
        return f"{latency_ms:.3f} ms"
    return f"{latency_ms * 1e3:.1f} us"
