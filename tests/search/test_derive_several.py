from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import BudgetError, InputError
from profiler.ops import OpSpec
from search.derive import derive
from search.derive_several import check_limits, derive_several
from search.expected_latency import LatencyMatrix, Limit
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile


def chain(widths: list[int], name: str = "small") -> ChainSpace:
    def conv(kernel: int) -> OpSpec:
        return OpSpec.make("conv", (4, 8, 8), out=4, kernel=kernel)

    pool = OpSpec.make("global_avg_pool", (4, 8, 8))
    blocks = tuple(tuple(conv(2 * j + 1) for j in range(width)) for width in widths)
    return ChainSpace(name, (conv(1),), blocks, (pool, OpSpec.make("linear", (4,), out=5)))


def best_by_listing(limits: list[Limit], logs: list[np.ndarray]) -> float | None:
    """The highest log-probability within all budgets."""
    space = limits[0].matrix.space
    architectures = list(space.enumerate())
    inside = np.ones(len(architectures), bool)
    for limit in limits:
        inside &= limit.matrix.price(architectures) <= limit.budget_ms
    values = [joint(logs, a.choices) for a, good in zip(architectures, inside, strict=True) if good]
    return max(values, default=None)


def joint(logs: list[np.ndarray], choices: tuple[int, ...]) -> float:
    return sum(float(block[j]) for block, j in zip(logs, choices, strict=True))


def check_against_listing(limits: list[Limit], logs: list[np.ndarray]) -> None:
    wanted = best_by_listing(limits, logs)
    if wanted is None:
        with pytest.raises(BudgetError):
            derive_several(limits, logs)
        return
    found = derive_several(limits, logs)
    assert all(limit.matrix.price([found])[0] <= limit.budget_ms for limit in limits)
    assert joint(logs, found.choices) == pytest.approx(wanted, rel=1e-9)


def random_problem(
    seed: int, widths: list[int], devices: int, share: float, follow: float = 0.0
) -> tuple[list[Limit], list[np.ndarray]]:
    """Budgets ``share`` of the way from the fastest to the slowest, on each device."""
    generator = np.random.default_rng(seed)
    space = chain(widths)
    limits = []
    for _ in range(devices):
        blocks = tuple(tuple(generator.uniform(0, 2, width).tolist()) for width in widths)
        matrix = LatencyMatrix(space, 0.5, blocks)
        low_ms, high_ms = matrix.fastest()[1], matrix.slowest()[1]
        limits.append(Limit(matrix, low_ms + share * (high_ms - low_ms)))
    logs = []
    for b, width in enumerate(widths):
        scores = generator.normal(0, 1, width)
        scores += follow * sum(np.array(limit.matrix.block_ms[b]) for limit in limits)
        logs.append(scores - np.log(np.exp(scores).sum()))
    return limits, logs


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.integers(1, 3),
    st.floats(0, 1),
    st.sampled_from([0.0, 3.0]),
)
def test_it_is_the_best_of_all(
    seed: int, widths: list[int], devices: int, share: float, follow: float
) -> None:
    check_against_listing(*random_problem(seed, widths, devices, share, follow))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ties_and_latencies_of_nothing_are_no_trouble(data: Any) -> None:
    widths = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    space = chain(widths)

    def blocks(low: int, high: int) -> list[list[float]]:
        numbers = st.integers(low, high).map(float)
        return [data.draw(st.lists(numbers, min_size=w, max_size=w)) for w in widths]

    limits = []
    for _ in range(2):
        matrix = LatencyMatrix(space, 0.0, tuple(map(tuple, blocks(0, 2))))
        budget_ms = matrix.fastest()[1] + data.draw(st.integers(0, 4))
        limits.append(Limit(matrix, budget_ms))
    check_against_listing(limits, [np.array(block) for block in blocks(-2, 0)])


def test_one_budget_is_derived_as_ever() -> None:
    (limit,), logs = random_problem(0, [4, 4, 4, 4], 1, 0.4)
    assert derive_several([limit], logs) == derive(limit.matrix, logs, limit.budget_ms)


def test_a_budget_that_does_not_bind_changes_nothing() -> None:
    (first, second), logs = random_problem(1, [4] * 6, 2, 0.4)
    wide = Limit(second.matrix, second.matrix.slowest()[1])
    assert derive_several([first, wide], logs) == derive(first.matrix, logs, first.budget_ms)
    assert derive_several([wide, first], logs) == derive(first.matrix, logs, first.budget_ms)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7])
@pytest.mark.parametrize("follow", [0.0, 2.0])
def test_the_space_of_the_paper_is_solved_to_the_end(
    share: float, follow: float, caplog: pytest.LogCaptureFixture
) -> None:
    space = mobile()
    generator = np.random.default_rng(3)
    limits = []
    for _ in range(2):
        blocks = tuple(tuple(generator.uniform(0, 2, w).tolist()) for w in space.widths)
        matrix = LatencyMatrix(space, 1.0, blocks)
        low_ms, high_ms = matrix.fastest()[1], matrix.slowest()[1]
        limits.append(Limit(matrix, low_ms + share * (high_ms - low_ms)))
    logs = []
    for b, width in enumerate(space.widths):
        scores = generator.normal(0, 1, width) + follow * np.array(limits[0].matrix.block_ms[b])
        logs.append(scores - np.log(np.exp(scores).sum()))
    with caplog.at_level(logging.WARNING, "lutier.search"):
        found = derive_several(limits, logs)
    assert all(limit.matrix.price([found])[0] <= limit.budget_ms for limit in limits)
    assert not caplog.records
    # Changing any two blocks gives nothing better.
    value = joint(logs, found.choices)
    for one in range(len(space.widths)):
        for other in range(one):
            for i in range(space.widths[one]):
                for j in range(space.widths[other]):
                    choices = list(found.choices)
                    choices[one], choices[other] = i, j
                    changed = space.architecture(choices)
                    if joint(logs, changed.choices) > value + 1e-9:
                        prices = [limit.matrix.price([changed])[0] for limit in limits]
                        assert any(
                            ms > limit.budget_ms for ms, limit in zip(prices, limits, strict=True)
                        )


def opposed() -> list[Limit]:
    """What is fast on one device is slow on the other."""
    space = chain([2, 2, 2])
    one = LatencyMatrix(space, 0.0, ((0.0, 1.0),) * 3)
    other = LatencyMatrix(space, 0.0, ((1.0, 0.0),) * 3)
    return [Limit(one, 1.5), Limit(other, 1.5)]


def test_budgets_that_no_network_meets_together_are_said() -> None:
    logs = [np.log([0.5, 0.5])] * 3
    for call in (lambda: derive_several(opposed(), logs), lambda: check_limits(opposed())):
        with pytest.raises(BudgetError, match=r"1.50 ms and 1.50 ms together.*takes 2.00 ms"):
            call()


def test_budgets_that_can_be_met_together_are_let_through() -> None:
    first, second = opposed()
    limits = [first, Limit(second.matrix, 2.0)]
    assert check_limits(limits) is first
    found = derive_several(limits, [np.log([0.5, 0.5])] * 3)
    assert found.choices.count(1) == 1


def test_a_budget_that_is_hopeless_alone_names_its_fastest_network() -> None:
    first, second = opposed()
    with pytest.raises(BudgetError, match="the fastest is"):
        check_limits([first, Limit(second.matrix, -1.0)])


def test_limits_of_different_spaces_and_no_limits_are_refused() -> None:
    first, second = opposed()
    other = LatencyMatrix(chain([2, 2, 2], "other"), 0.0, second.matrix.block_ms)
    with pytest.raises(InputError, match="latencies of other beside those of small"):
        check_limits([first, Limit(other, 2.0)])
    with pytest.raises(InputError, match="no latency budget"):
        check_limits([])
    with pytest.raises(InputError, match="not a number"):
        check_limits([first, Limit(second.matrix, math.nan)])
