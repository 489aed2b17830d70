from __future__ import annotations

import functools
import itertools
import logging
import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import BudgetError, InputError
from profiler.ops import OpSpec
from search.derive import argmax, derive
from search.expected_latency import LatencyMatrix
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny

Blocks = list[list[float]]


def chain(widths: list[int]) -> ChainSpace:
    def conv(kernel: int) -> OpSpec:
        return OpSpec.make("conv", (4, 8, 8), out=4, kernel=kernel)

    pool = OpSpec.make("global_avg_pool", (4, 8, 8))
    blocks = tuple(tuple(conv(2 * j + 1) for j in range(width)) for width in widths)
    return ChainSpace("small", (conv(1),), blocks, (pool, OpSpec.make("linear", (4,), out=5)))


def matrix_of(latency_ms: Blocks, constant_ms: float = 0.0) -> LatencyMatrix:
    space = chain([len(block) for block in latency_ms])
    return LatencyMatrix(space, constant_ms, tuple(map(tuple, latency_ms)))


def joint(log_probabilities: Blocks, choices: tuple[int, ...]) -> float:
    taken = [block[choice] for block, choice in zip(log_probabilities, choices, strict=True)]
    return functools.reduce(operator.add, taken, 0.0)


def best_by_listing(
    matrix: LatencyMatrix, log_probabilities: Blocks, budget_ms: float
) -> tuple[float, float]:
    """Joint log-probability and, negated, latency of the architecture that must be found."""
    architectures = list(matrix.space.enumerate())
    latency_ms = matrix.price(architectures)
    return max(
        (joint(log_probabilities, a.choices), -ms)
        for a, ms in zip(architectures, latency_ms, strict=True)
        if ms <= budget_ms
    )


def check_against_listing(
    matrix: LatencyMatrix, log_probabilities: Blocks, budget_ms: float
) -> None:
    found = derive(matrix, log_probabilities, budget_ms)
    found_ms = matrix.price([found])[0]
    expected = best_by_listing(matrix, log_probabilities, budget_ms)
    assert (joint(log_probabilities, found.choices), -found_ms) == expected


def log_softmax(scores: np.ndarray) -> list[float]:
    return (scores - np.log(np.exp(scores).sum())).tolist()


def random_problem(seed: int) -> tuple[LatencyMatrix, Blocks, float]:
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 6, generator.integers(1, 6))
    latency = [generator.exponential(1, width) for width in widths]
    follow = generator.choice([0.0, 0.0, 1.0])
    noise = generator.choice([0.0, 0.01, 1.0])
    scores = [follow * ms + noise * generator.normal(size=len(ms)) for ms in latency]
    matrix = matrix_of([block.tolist() for block in latency], generator.choice([0.0, 0.7, -0.7]))
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    budget_ms = fastest_ms + (slowest_ms - fastest_ms) * generator.uniform(0, 1.1)
    return matrix, [log_softmax(score) for score in scores], budget_ms


def test_finds_what_listing_all_architectures_finds() -> None:
    for seed in range(300):
        check_against_listing(*random_problem(seed))


grid = st.integers(-3, 3).map(lambda n: n / 10)
tied_blocks = st.lists(st.lists(st.tuples(grid, grid), min_size=1, max_size=4), max_size=4)


@given(tied_blocks.filter(bool), st.floats(0, 1), grid)
def test_ties_and_budgets_met_exactly_are_settled_as_listing_does(
    blocks: list[list[tuple[float, float]]], share: float, constant_ms: float
) -> None:
    matrix = matrix_of([[ms for ms, _ in block] for block in blocks], constant_ms)
    log_probabilities = [[value for _, value in block] for block in blocks]
    prices = np.sort(matrix.price(list(matrix.space.enumerate())))
    budget_ms = float(prices[int(share * (len(prices) - 1))])
    check_against_listing(matrix, log_probabilities, budget_ms)


finite = st.floats(-1e6, 1e6)
wild_blocks = st.lists(st.lists(st.tuples(finite, finite), min_size=1, max_size=4), max_size=4)


@given(wild_blocks.filter(bool), st.floats(0, 1))
@settings(max_examples=100)
def test_numbers_of_any_size_are_settled_as_listing_does(
    blocks: list[list[tuple[float, float]]], share: float
) -> None:
    matrix = matrix_of([[ms for ms, _ in block] for block in blocks])
    log_probabilities = [[value for _, value in block] for block in blocks]
    prices = np.sort(matrix.price(list(matrix.space.enumerate())))
    check_against_listing(matrix, log_probabilities, float(prices[int(share * (len(prices) - 1))]))


def random_mobile(seed: int) -> tuple[LatencyMatrix, Blocks]:
    space = mobile()
    generator = np.random.default_rng(seed)
    latency_ms = tuple(tuple(generator.uniform(0.1, 3, n).tolist()) for n in space.widths)
    scores = [log_softmax(generator.normal(size=n)) for n in space.widths]
    return LatencyMatrix(space, 1.0, latency_ms), scores


def test_no_exchange_of_two_blocks_improves_what_is_found_in_the_mobile_space() -> None:
    matrix, log_probabilities = random_mobile(0)
    fastest_ms = matrix.fastest()[1]
    likeliest_ms = matrix.price([argmax(matrix, log_probabilities)])[0]
    budget_ms = (fastest_ms + likeliest_ms) / 2
    found = derive(matrix, log_probabilities, budget_ms)
    assert matrix.price([found])[0] <= budget_ms
    widths = matrix.space.widths
    neighbours = [
        [{i: x, j: y}.get(k, choice) for k, choice in enumerate(found.choices)]
        for i, j in itertools.combinations(range(len(widths)), 2)
        for x in range(widths[i])
        for y in range(widths[j])
    ]
    within = np.array(neighbours)[matrix.price(np.array(neighbours)) <= budget_ms]
    best = max(joint(log_probabilities, tuple(row)) for row in within.tolist())
    assert best <= joint(log_probabilities, found.choices) + 1e-12


def test_with_a_wide_budget_the_likeliest_candidates_are_taken() -> None:
    matrix, log_probabilities = random_mobile(1)
    likeliest = argmax(matrix, log_probabilities)
    assert derive(matrix, log_probabilities, matrix.slowest()[1]) == likeliest
    assert derive(matrix, log_probabilities, math.inf) == likeliest
    assert argmax(matrix.space, log_probabilities) == likeliest
    assert likeliest.choices == tuple(int(np.argmax(block)) for block in log_probabilities)


def test_at_the_fastest_network_s_latency_it_is_found() -> None:
    matrix, log_probabilities = random_mobile(2)
    fastest, fastest_ms = matrix.fastest()
    assert derive(matrix, log_probabilities, fastest_ms) == fastest


def test_below_the_fastest_network_nothing_is_found_and_it_is_named() -> None:
    matrix, log_probabilities = random_mobile(2)
    fastest, fastest_ms = matrix.fastest()
    with pytest.raises(BudgetError, match=fastest.id):
        derive(matrix, log_probabilities, math.nextafter(fastest_ms, 0))


def test_probabilities_that_follow_latencies_exactly_are_settled_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    space = mobile_tiny()
    generator = np.random.default_rng(1)
    latency_ms = [generator.uniform(0.2, 3, width) for width in space.widths]
    matrix = LatencyMatrix(space, 1.0, tuple(tuple(block.tolist()) for block in latency_ms))
    budget_ms = (matrix.fastest()[1] + matrix.slowest()[1]) / 2
    with caplog.at_level(logging.WARNING, "lutier.search"):
        found = derive(matrix, latency_ms, budget_ms)
    # Log-probabilities are latencies here, so that the gap is what is left of the budget.
    left_ms = budget_ms - matrix.price([found])[0]
    assert 0 <= left_ms < 1e-3
    assert f"{left_ms:.1e}" in caplog.text


@pytest.mark.parametrize(
    "log_probabilities",
    [[[0.0]], [[0.0, -1.0, 0.0], [0.0]], [[0.0, -math.inf], [0.0]], [[0.0, math.nan], [0.0]]],
)
def test_log_probabilities_must_be_one_finite_number_a_candidate(
    log_probabilities: Blocks,
) -> None:
    matrix = matrix_of([[1.0, 2.0], [1.0]])
    for use in (lambda: derive(matrix, log_probabilities, 5.0), lambda: argmax(matrix, [[0.0]])):
        with pytest.raises(InputError, match="log-probabilities"):
            use()
