"""The loop between deriving a network and measuring it."""

from __future__ import annotations

import numpy as np
import pytest

from devices.errors import BudgetError
from search.architecture import Architecture
from search.closed_loop import MAX_LOOSENED, Measure, derive_measured
from search.derive import derive
from search.expected_latency import LatencyMatrix
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny()
MATRIX = LatencyMatrix(
    SPACE,
    0.1,
    tuple(tuple(0.05 * (1 + j) for j in range(width)) for width in SPACE.widths),
)
_DRAWN = np.random.default_rng(0)
LOGS = [np.log(_DRAWN.dirichlet(np.ones(width))) for width in SPACE.widths]
FASTEST_MS = MATRIX.fastest()[1]
BUDGET_MS = FASTEST_MS * 2


def device(factor: float, uncertainty: float = 0.0) -> Measure:
    """A device on which everything takes ``factor`` times what is predicted."""

    def measure(architecture: Architecture) -> tuple[float, float]:
        median_ms = factor * float(MATRIX.price([architecture])[0])
        return median_ms, median_ms * (1 + uncertainty)

    return measure


def test_a_network_that_is_as_fast_as_predicted_is_taken_at_once() -> None:
    (only,) = derive_measured(MATRIX, LOGS, BUDGET_MS, device(1.0))
    assert only.asked_ms == BUDGET_MS
    assert only.measured_ms == only.predicted_ms <= BUDGET_MS


@pytest.mark.parametrize("factor", [1.05, 1.3, 1.7])
def test_a_slower_device_gets_a_network_that_is_within_the_budget_there(factor: float) -> None:
    rounds = derive_measured(MATRIX, LOGS, BUDGET_MS, device(factor))
    assert rounds[-1].upper_ms <= BUDGET_MS
    assert all(round_.upper_ms > BUDGET_MS for round_ in rounds[:-1])
    asked = [round_.asked_ms for round_ in rounds]
    assert asked == sorted(asked, reverse=True)


def test_what_counts_is_the_upper_end_of_the_interval() -> None:
    rounds = derive_measured(MATRIX, LOGS, BUDGET_MS, device(1.0, uncertainty=0.1))
    assert rounds[-1].measured_ms * 1.1 <= BUDGET_MS


def test_no_network_is_measured_twice() -> None:
    rounds = derive_measured(MATRIX, LOGS, BUDGET_MS, device(1.5))
    networks = [round_.architecture for round_ in rounds]
    assert len(set(networks)) == len(networks)


def test_a_device_that_is_far_too_slow_names_the_closest() -> None:
    with pytest.raises(BudgetError) as caught:
        derive_measured(MATRIX, LOGS, BUDGET_MS, device(10.0))
    assert "mobile-tiny:" in str(caught.value)


def test_the_number_of_rounds_is_bounded() -> None:
    measured: list[Architecture] = []

    def never(architecture: Architecture) -> tuple[float, float]:
        measured.append(architecture)
        return BUDGET_MS * 1.0001, BUDGET_MS * 1.0001

    with pytest.raises(BudgetError, match="none of 3 networks"):
        derive_measured(MATRIX, LOGS, BUDGET_MS, never, max_rounds=3)
    assert len(measured) == 3


def test_it_can_start_below_the_budget() -> None:
    start_ms = FASTEST_MS * 1.5
    rounds = derive_measured(MATRIX, LOGS, BUDGET_MS, device(1.0), start_ms=start_ms)
    assert rounds[-1].predicted_ms <= start_ms


@pytest.mark.parametrize("factor", [0.5, 0.7, 0.9])
def test_a_faster_device_gets_a_network_that_uses_the_budget_there(factor: float) -> None:
    rounds = derive_measured(MATRIX, LOGS, BUDGET_MS, device(factor))
    assert len(rounds) <= 1 + MAX_LOOSENED
    assert 0.9 * BUDGET_MS <= rounds[-1].upper_ms <= BUDGET_MS
    assert rounds[-1].upper_ms == max(round_.upper_ms for round_ in rounds)


def test_looser_that_is_always_too_loose_leaves_the_network_that_was_within() -> None:
    def uneven(architecture: Architecture) -> tuple[float, float]:
        predicted_ms = float(MATRIX.price([architecture])[0])
        factor = 0.8 if predicted_ms <= BUDGET_MS else 1.5
        return factor * predicted_ms, factor * predicted_ms

    *over, last = derive_measured(MATRIX, LOGS, BUDGET_MS, uneven)
    assert 1 <= len(over) <= MAX_LOOSENED
    assert all(round_.upper_ms > BUDGET_MS for round_ in over)
    asked = [round_.asked_ms for round_ in over]
    assert asked == sorted(set(asked), reverse=True)
    assert last.upper_ms <= BUDGET_MS
    assert last.predicted_ms <= BUDGET_MS


def test_looser_that_is_a_little_too_loose_is_tightened_again() -> None:
    def uneven(architecture: Architecture) -> tuple[float, float]:
        predicted_ms = float(MATRIX.price([architecture])[0])
        factor = 0.75 if predicted_ms <= BUDGET_MS else 0.79
        return factor * predicted_ms, factor * predicted_ms

    first, *looser, last = derive_measured(MATRIX, LOGS, BUDGET_MS, uneven)
    assert first.asked_ms == BUDGET_MS
    assert looser
    assert all(round_.upper_ms > BUDGET_MS for round_ in looser)
    assert 0.95 * BUDGET_MS <= last.upper_ms <= BUDGET_MS


def test_a_start_below_the_budget_is_not_loosened() -> None:
    start_ms = FASTEST_MS * 1.5
    rounds = derive_measured(MATRIX, LOGS, BUDGET_MS, device(0.7), start_ms=start_ms)
    assert [round_.asked_ms for round_ in rounds] == [start_ms]


def test_the_likeliest_network_whatever_it_uses_can_be_asked_for() -> None:
    (only,) = derive_measured(MATRIX, LOGS, BUDGET_MS, device(1.0), fill=0.0)
    assert only.architecture == derive(MATRIX, LOGS, BUDGET_MS)
