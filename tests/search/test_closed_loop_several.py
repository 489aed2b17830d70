"""The loop between deriving a network and measuring it, on two devices."""

from __future__ import annotations

import numpy as np
import pytest

from devices.errors import BudgetError
from search.architecture import Architecture
from search.closed_loop import Measure
from search.closed_loop_several import derive_measured_several
from search.derive_several import derive_several
from search.expected_latency import LatencyMatrix, Limit
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny()
_DRAWN = np.random.default_rng(0)
LOGS = [np.log(_DRAWN.dirichlet(np.ones(width))) for width in SPACE.widths]


def limit() -> Limit:
    blocks = tuple(tuple(_DRAWN.uniform(0.05, 0.3, width).tolist()) for width in SPACE.widths)
    matrix = LatencyMatrix(SPACE, 0.1, blocks)
    return Limit(matrix, (matrix.fastest()[1] + matrix.slowest()[1]) / 2)


LIMITS = [limit(), limit()]


def device(limit: Limit, factor: float) -> Measure:
    """A device on which everything takes ``factor`` times what is predicted."""

    def measure(architecture: Architecture) -> tuple[float, float]:
        median_ms = factor * float(limit.matrix.price([architecture])[0])
        return median_ms, 1.01 * median_ms

    return measure


def devices(*factors: float) -> list[Measure]:
    return [device(limit, factor) for limit, factor in zip(LIMITS, factors, strict=True)]


def test_a_network_that_is_as_fast_as_predicted_is_taken_at_once() -> None:
    (only,) = derive_measured_several(LIMITS, LOGS, devices(0.98, 0.98))
    assert only[0].architecture == only[1].architecture == derive_several(LIMITS, LOGS)
    assert [round_.asked_ms for round_ in only] == [limit.budget_ms for limit in LIMITS]


@pytest.mark.parametrize("factors", [(1.2, 0.9), (0.9, 1.2), (1.2, 1.15)])
def test_only_the_device_that_is_slower_is_asked_for_less(factors: tuple[float, float]) -> None:
    tried = derive_measured_several(LIMITS, LOGS, devices(*factors))
    assert len(tried) > 1
    for i, (limit, factor) in enumerate(zip(LIMITS, factors, strict=True)):
        assert tried[-1][i].upper_ms <= limit.budget_ms
        assert (tried[-1][i].asked_ms < limit.budget_ms) == (factor > 1)


def test_budgets_of_the_first_round_can_be_given() -> None:
    start_ms = [0.9 * limit.budget_ms for limit in LIMITS]
    tried = derive_measured_several(LIMITS, LOGS, devices(0.9, 0.9), start_ms=start_ms)
    assert [round_.asked_ms for round_ in tried[0]] == start_ms


def test_devices_that_no_network_satisfies_are_said() -> None:
    with pytest.raises(BudgetError):
        derive_measured_several(LIMITS, LOGS, devices(1.0, 5.0))
    with pytest.raises(BudgetError, match="none of 2 networks was within"):
        derive_measured_several(LIMITS, LOGS, devices(1.2, 1.2), max_rounds=2)
