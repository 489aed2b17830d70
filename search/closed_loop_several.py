"""From probabilities to a network that meets the budget of every device when it is measured there.

As :mod:`search.closed_loop`: a network is derived and measured on each device, and where it is
slower than a budget the next one is derived under a budget for that device that is tighter by as
much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from devices.errors import BudgetError
from search.budget import format_ms
from search.closed_loop import Measure, Round
from search.derive_several import derive_several
from search.expected_latency import Limit


def derive_measured_several(
    limits: Sequence[Limit],
    log_probabilities: Sequence[npt.ArrayLike],
    measures: Sequence[Measure],
    *,
    max_rounds: int = 8,
    start_ms: Sequence[float] | None = None,
) -> list[tuple[Round, ...]]:
    """Derive and measure until a network's upper ends are within all budgets.

    Args:
        limits: prices of the space on each device, and the latency in ms that the measured network
            must not exceed there.
        log_probabilities: one array a block, as :func:`search.derive.derive` takes them.
        measures: measures a network, one for each device.
        max_rounds: how many networks to try.
        start_ms: budgets of the first derivation; those of the limits by default.

    Returns:
        For each network that was tried what was seen on each device; the last one is within all
        budgets.

    Raises:
        BudgetError: no network of the space is, or none of those tried.
    """
    tried: list[tuple[Round, ...]] = []
    asked_ms = [limit.budget_ms for limit in limits] if start_ms is None else list(start_ms)
    while len(tried) < max_rounds:
        asked = [Limit(limit.matrix, ms) for limit, ms in zip(limits, asked_ms, strict=True)]
        architecture = derive_several(asked, log_probabilities)
        rounds = [
            Round.of(architecture, limit, measure)
            for limit, measure in zip(asked, measures, strict=True)
        ]
        tried.append(tuple(rounds))
        over = [
            (i, round_, limit.budget_ms)
            for i, (round_, limit) in enumerate(zip(rounds, limits, strict=True))
            if round_.upper_ms > limit.budget_ms
        ]
        if not over:
            return tried
        for i, round_, budget_ms in over:
            asked_ms[i] = round_.tighter_ms(budget_ms)
    budgets = " and ".join(format_ms(limit.budget_ms) for limit in limits)
    latencies = " and ".join(format_ms(round_.measured_ms) for round_ in tried[-1])
    raise BudgetError(
        f"none of {len(tried)} networks was within {budgets} when measured",
        f"the last, {tried[-1][0].architecture}, took {latencies}",
        "a wider budget for the slower device, or lutier profile again",
    )
