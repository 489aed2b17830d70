"""Whether a latency budget can be meant: some networks of a space meet it, and not all by far."""

from __future__ import annotations

import math
from typing import Protocol

from devices.errors import BudgetError, InputError
from search.architecture import Architecture
from search.budget import format_ms
from search.spaces.base import SearchSpace

FAR = 100.0
"""How many times the slowest network's latency a budget is that cannot be meant."""


class Ranged(Protocol):
    """Latencies of a space, of which the least and the most are known."""

    @property
    def space(self) -> SearchSpace:
        """The space that is priced."""

    def fastest(self) -> tuple[Architecture, float]:
        """The architecture of lowest predicted latency, and that latency in ms."""

    def slowest(self) -> tuple[Architecture, float]:
        """The architecture of highest predicted latency, and that latency in ms."""


def check_budget(latency: Ranged, budget_ms: float) -> float:
    """Return the budget, or say what the fastest network of the space is.

    Args:
        latency: of the space.
        budget_ms: in ms.

    Raises:
        BudgetError: not even the fastest network's predicted latency is within the budget.
        InputError: the budget is not a number.
    """
    if math.isnan(budget_ms):
        raise InputError("the latency budget is not a number", hint="1.5ms")
    fastest, fastest_ms = latency.fastest()
    if fastest_ms > budget_ms:
        raise BudgetError(
            f"no network of {latency.space.name} meets {budget_ms:.6g} ms",
            f"the fastest is {fastest.id}, predicted at {format_ms(fastest_ms)}, and the"
            f" slowest takes {format_ms(latency.slowest()[1])}",
            f"a budget of at least {_rounded_up(fastest_ms):.6g}ms"
            + _in_another_unit(latency, budget_ms),
        )
    return budget_ms


def check_scale(latency: Ranged, budget_ms: float) -> None:
    """Refuse a budget that is so far above all networks that its unit must be a mistake.

    Args:
        latency: of the space.
        budget_ms: in ms.

    Raises:
        BudgetError: it is :data:`FAR` times the slowest network's predicted latency or more.
    """
    fastest_ms, slowest_ms = latency.fastest()[1], latency.slowest()[1]
    if budget_ms >= FAR * slowest_ms > 0:
        raise BudgetError(
            f"{format_ms(budget_ms)} is far above what {latency.space.name} can take",
            f"its networks are predicted at {format_ms(fastest_ms)} to {format_ms(slowest_ms)}",
            f"a budget of {_rounded_up(slowest_ms):.6g}ms, where all are within"
            + _in_another_unit(latency, budget_ms),
        )


def _in_another_unit(latency: Ranged, budget_ms: float) -> str:
    """The same number with another prefix of the second, where networks take that long."""
    for factor in (1e-6, 1e-3, 1e3, 1e6):
        meant_ms = budget_ms * factor
        if latency.fastest()[1] <= meant_ms <= latency.slowest()[1]:
            return f"; {meant_ms:.6g}ms, if another unit was meant"
    return ""


def _rounded_up(latency_ms: float) -> float:
    """The latency with three significant digits, never below itself."""
    if latency_ms == 0:
        return 0.0
    digits = 2 - math.floor(math.log10(abs(latency_ms)))
    rounded = round(latency_ms, digits)
    return rounded if rounded >= latency_ms else round(rounded + 10.0**-digits, digits)
