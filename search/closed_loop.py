"""From probabilities to a network that meets the budget when it is measured.

A latency model is right on the average and wrong for the one network that was picked because it
looked fast. So the network is measured, and where it is slower than the budget the next one is
derived under a budget that is tighter by as much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from devices.errors import BudgetError
from search.architecture import Architecture
from search.budget import format_ms
from search.derive import derive
from search.expected_latency import LatencyMatrix

Measure = Callable[[Architecture], tuple[float, float]]
"""Measures a network: median in ms, and the most to allow for it in ms, e.g. the upper end of its
confidence interval."""


@dataclass(frozen=True)
class Round:
    """One network that was derived and measured.

    Attributes:
        architecture: what was derived.
        asked_ms: budget it was derived under.
        predicted_ms: by the latency model.
        measured_ms: median on the device.
        upper_ms: the most to allow for it; this is what the budget is compared with.
    """

    architecture: Architecture
    asked_ms: float
    predicted_ms: float
    measured_ms: float
    upper_ms: float


def derive_measured(
    matrix: LatencyMatrix,
    log_probabilities: Sequence[npt.ArrayLike],
    budget_ms: float,
    measure: Measure,
    *,
    max_rounds: int = 8,
    start_ms: float | None = None,
) -> list[Round]:
    """Derive and measure until a network's upper end is within the budget.

    Args:
        matrix: prices of the space.
        log_probabilities: one array a block, as :func:`search.derive.derive` takes them.
        budget_ms: latency in ms that the measured network must not exceed.
        measure: measures a network on the device.
        max_rounds: how many networks to try.
        start_ms: budget of the first derivation; ``budget_ms`` by default.

    Returns:
        The rounds; the last one's network is within the budget.

    Raises:
        BudgetError: no network of the space is, or none of those tried.
    """
    rounds: list[Round] = []
    asked_ms = budget_ms if start_ms is None else start_ms
    while len(rounds) < max_rounds:
        architecture = derive(matrix, log_probabilities, asked_ms)
        predicted_ms = float(matrix.price([architecture])[0])
        measured_ms, upper_ms = measure(architecture)
        rounds.append(Round(architecture, asked_ms, predicted_ms, measured_ms, upper_ms))
        if upper_ms <= budget_ms:
            return rounds
        # The model is optimistic by this factor here. At least the same network must not return.
        asked_ms = min(asked_ms * budget_ms / upper_ms, predicted_ms * (1 - 1e-6))
    closest = min(rounds, key=lambda round_: round_.upper_ms)
    raise BudgetError(
        f"none of {len(rounds)} networks was within {format_ms(budget_ms)} when measured",
        f"the closest, {closest.architecture}, took {format_ms(closest.measured_ms)}",
        f"a budget of at least {format_ms(closest.upper_ms)}, or lutier profile again",
    )
