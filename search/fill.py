"""The likeliest network that uses the latency budget.

A search weighs accuracy against latency until the *expected* latency meets the budget. The
likeliest single network may then lie well below it: the price of latency that was right for the
expectation is too high for the mode, and accuracy that the budget would have paid for is left
behind. So that price is taken back, bit by bit, until the network derived uses the budget.

With ``F`` the latencies, :func:`derive_filling` maximises ``log p + refund * F`` within the budget,
for the smallest refund under which the network takes at least a share of the budget. At a refund of
nothing that is :func:`search.derive.derive`; the latency found never falls as the refund grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from search.architecture import Architecture
from search.derive import derive
from search.expected_latency import LatencyMatrix

FILL = 0.97
"""Share of the budget that a network is to use, where there is one that does."""
_LARGEST = 256.0
"""Refund of a whole budget, in nats, beyond which latency would be all that counts."""
_STEPS = 8


def derive_filling(
    matrix: LatencyMatrix,
    log_probabilities: Sequence[npt.ArrayLike],
    budget_ms: float,
    fill: float = FILL,
) -> Architecture:
    """The likeliest network within a budget that uses most of it.

    Where none is found that does, the one that uses most of it. Where every network of the space is
    within the budget, latency had no price, and the likeliest is taken.

    Args:
        matrix: latencies of the space.
        log_probabilities: for each block an array ``(candidates,)``, natural logarithms.
        budget_ms: in ms.
        fill: share of the budget to be used, 0 to 1; 0 takes the likeliest network whatever it
            uses.

    Raises:
        BudgetError, InputError: as :func:`search.derive.derive`; a share outside of 0 to 1.
    """
    if not 0 <= fill <= 1:
        raise InputError(f"a share of {fill} of the budget", "must be 0 to 1")

    def found(refund: float) -> Architecture:
        if not refund:
            return derive(matrix, log_probabilities, budget_ms)
        paid = [
            np.asarray(block, dtype=np.float64) + refund / budget_ms * np.array(prices)
            for block, prices in zip(log_probabilities, matrix.block_ms, strict=True)
        ]
        return derive(matrix, paid, budget_ms)

    def used(architecture: Architecture) -> float:
        return float(matrix.price([architecture])[0]) / budget_ms

    low, best = 0.0, found(0.0)
    if used(best) >= fill or matrix.slowest()[1] <= budget_ms:
        return best
    high = 1.0
    while high <= _LARGEST:
        candidate = found(high)
        if used(candidate) >= used(best):
            best = candidate
        if used(candidate) >= fill:
            break
        low, high = high, 2 * high
    else:
        return best
    for _ in range(_STEPS):
        middle = (low + high) / 2
        candidate = found(middle)
        if used(candidate) >= fill:
            high, best = middle, candidate
        else:
            low = middle
    return best
