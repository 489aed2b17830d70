from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from devices.errors import BudgetError, InputError
from search.derive import argmax, derive
from search.expected_latency import LatencyMatrix
from search.fill import derive_filling
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny()


def drawn(seed: int) -> tuple[LatencyMatrix, list[np.ndarray]]:
    """Latencies and log-probabilities of the space, the fast candidates likelier."""
    generator = np.random.default_rng(seed)
    prices = [generator.uniform(0.05, 0.5, width) for width in SPACE.widths]
    logs = [np.log(generator.dirichlet(np.ones(len(block)))) - 2 * block for block in prices]
    return LatencyMatrix(SPACE, 0.1, tuple(map(tuple, prices))), logs


def likelihood(logs: list[np.ndarray], choices: tuple[int, ...]) -> float:
    return sum(float(block[j]) for block, j in zip(logs, choices, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_most_of_the_budget_is_used_and_never_more(seed: int) -> None:
    matrix, logs = drawn(seed)
    low, high = matrix.fastest()[1], matrix.slowest()[1]
    for share in (0.2, 0.5, 0.8):
        budget_ms = low + share * (high - low)
        plain = float(matrix.price([derive(matrix, logs, budget_ms)])[0])
        filled = float(matrix.price([derive_filling(matrix, logs, budget_ms, 0.95)])[0])
        assert 0.95 * budget_ms <= filled <= budget_ms
        assert plain <= filled or plain >= 0.95 * budget_ms


def test_of_networks_that_fill_the_budget_one_of_the_likeliest_is_taken() -> None:
    matrix, logs = drawn(3)
    low, high = matrix.fastest()[1], matrix.slowest()[1]
    budget_ms = (low + high) / 2
    found = derive_filling(matrix, logs, budget_ms, 0.95)
    generator = np.random.default_rng(0)
    choices = np.stack([generator.integers(width, size=200_000) for width in SPACE.widths], axis=1)
    prices = matrix.price(choices)
    filling = choices[(prices <= budget_ms) & (prices >= 0.95 * budget_ms)]
    others = [likelihood(logs, tuple(row)) for row in filling.tolist()]
    assert len(others) > 1000
    assert likelihood(logs, found.choices) >= max(others)


def test_a_likeliest_network_that_fills_the_budget_is_kept() -> None:
    matrix, logs = drawn(0)
    found = derive(matrix, logs, matrix.slowest()[1])
    budget_ms = float(matrix.price([found])[0]) * 1.01
    assert derive_filling(matrix, logs, budget_ms, 0.95) == derive(matrix, logs, budget_ms)


def test_a_share_of_nothing_is_the_likeliest_network() -> None:
    matrix, logs = drawn(1)
    budget_ms = matrix.slowest()[1]
    assert derive_filling(matrix, logs, budget_ms, 0.0) == derive(matrix, logs, budget_ms)


def test_a_budget_that_every_network_is_within_gets_the_likeliest() -> None:
    matrix, logs = drawn(2)
    budget_ms = 1.5 * matrix.slowest()[1]
    assert derive_filling(matrix, logs, budget_ms) == argmax(matrix, logs)


def test_a_budget_below_the_fastest_is_refused() -> None:
    matrix, logs = drawn(0)
    with pytest.raises(BudgetError):
        derive_filling(matrix, logs, matrix.fastest()[1] / 2)


@pytest.mark.parametrize("fill", [-0.1, 1.1, math.nan])
def test_a_share_that_cannot_be_is_refused(fill: float) -> None:
    matrix, logs = drawn(0)
    with pytest.raises(InputError, match="must be 0 to 1"):
        derive_filling(matrix, logs, 1.0, fill)


def test_what_is_used_does_not_fall_as_more_is_asked_for() -> None:
    matrix, logs = drawn(4)
    budget_ms = (matrix.fastest()[1] + matrix.slowest()[1]) / 2
    used = [
        float(matrix.price([derive_filling(matrix, logs, budget_ms, fill)])[0])
        for fill in (0.0, 0.8, 0.9, 0.95, 0.99)
    ]
    assert all(first <= second for first, second in itertools.pairwise(used))
