"""From probabilities to a network that meets the budget when it is measured.

A latency model is right on the average and wrong for the one network that was picked because it
looked fast. So the network is measured, and where it is slower than the budget the next one is
derived under a budget that is tighter by as much. Where it is so much faster that a part of the
budget is left unused, a few more are derived under a budget that is looser by as much, and a little
less loose where that was too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from devices.errors import BudgetError
from search.architecture import Architecture
from search.budget import format_ms
from search.expected_latency import LatencyMatrix, Limit
from search.fill import FILL, derive_filling

Measure = Callable[[Architecture], tuple[float, float]]
"""Measures a network: median in ms, and the most to allow for it in ms, e.g. the upper end of its
confidence interval."""

MAX_LOOSENED = 3
"""Further networks that are tried where one left a part of the budget unused."""


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

    @classmethod
    def of(cls, architecture: Architecture, limit: Limit, measure: Measure) -> Round:
        """Price a network that was derived under a limit, and measure it."""
        predicted_ms = float(limit.matrix.price([architecture])[0])
        return cls(architecture, limit.budget_ms, predicted_ms, *measure(architecture))

    def scaled_ms(self, budget_ms: float) -> float:
        """What to ask for next, in ms, were the model wrong by the same factor everywhere."""
        return self.asked_ms * budget_ms / self.upper_ms

    def tighter_ms(self, budget_ms: float) -> float:
        """The same where this network was over the budget: at least it must not return."""
        return min(self.scaled_ms(budget_ms), self.predicted_ms * (1 - 1e-6))


def derive_measured(
    matrix: LatencyMatrix,
    log_probabilities: Sequence[npt.ArrayLike],
    budget_ms: float,
    measure: Measure,
    *,
    max_rounds: int = 8,
    start_ms: float | None = None,
    fill: float = FILL,
) -> list[Round]:
    """Derive and measure until a network's upper end is within the budget, and near it.

    Args:
        matrix: prices of the space.
        log_probabilities: one array a block, as :func:`search.derive.derive` takes them.
        budget_ms: latency in ms that the measured network must not exceed.
        measure: measures a network on the device.
        max_rounds: how many networks to try.
        start_ms: budget of the first derivation; ``budget_ms`` by default. Where it is below that,
            it is not loosened.
        fill: share of the budget that is to be used; 0 takes the likeliest network within it.

    Returns:
        The rounds; the last one's network is within the budget, and of those that are it is the
        one that uses most of it.

    Raises:
        BudgetError: no network of the space is, or none of those tried.
    """
    rounds: list[Round] = []
    within: list[Round] = []
    asked_ms = budget_ms if start_ms is None else start_ms
    loosen = MAX_LOOSENED if asked_ms >= budget_ms else 0
    # What was asked for when a network was within the budget, and when one was over.
    low_ms, high_ms = 0.0, math.inf
    while len(rounds) < max_rounds:
        architecture = derive_filling(matrix, log_probabilities, asked_ms, fill)
        if architecture in (round_.architecture for round_ in within):
            break
        last = Round.of(architecture, Limit(matrix, asked_ms), measure)
        rounds.append(last)
        if last.upper_ms <= budget_ms:
            if not within:
                max_rounds = min(max_rounds, len(rounds) + loosen)
            within.append(last)
            if last.upper_ms >= fill * budget_ms:
                break
            # What this one leaves of the budget is asked for too, but not what was over before.
            low_ms = asked_ms
            asked_ms = min(last.scaled_ms(budget_ms), (low_ms + high_ms) / 2)
        else:
            # What was within need not return either.
            high_ms = asked_ms
            asked_ms = last.tighter_ms(budget_ms)
            if asked_ms <= low_ms:
                asked_ms = (low_ms + high_ms) / 2
    if within:
        best = max(within, key=lambda round_: round_.upper_ms)
        return [*(round_ for round_ in rounds if round_ is not best), best]
    closest = min(rounds, key=lambda round_: round_.upper_ms)
    raise BudgetError(
        f"none of {len(rounds)} networks was within {format_ms(budget_ms)} when measured",
        f"the closest, {closest.architecture}, took {format_ms(closest.measured_ms)}",
        f"a budget of at least {format_ms(closest.upper_ms)}, or lutier profile again",
    )
