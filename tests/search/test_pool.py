from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BudgetError, InputError
from profiler.ops import OpSpec
from search import pool as pool_module
from search.architecture import Architecture
from search.expected_latency import LatencyMatrix
from search.pool import sample_pool
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny

SHAPE = (4, 8, 8)


def chain(widths: list[int], skippable: bool = False) -> ChainSpace:
    """Blocks of so many candidates; blocks of as many have equal ones, others share none."""

    def conv(kernel: int) -> OpSpec:
        return OpSpec.make("conv", SHAPE, out=4, kernel=kernel)

    skip = (OpSpec.make("identity", SHAPE),) if skippable else ()
    blocks = tuple(
        (*(conv(2 * (10 * width + j) + 1) for j in range(width)), *skip) for width in widths
    )
    pool = OpSpec.make("global_avg_pool", SHAPE)
    return ChainSpace("small", (conv(1),), blocks, (pool, OpSpec.make("linear", (4,), out=5)))


def random_matrix(space: ChainSpace, seed: int, constant_ms: float = 0.5) -> LatencyMatrix:
    """Latencies as a model gives them: by op, and 0 for what a network has no node for."""
    generator = np.random.default_rng(seed)
    latency_ms = {op: generator.uniform(0.1, 2) for op in space.all_ops()}
    blocks = tuple(tuple(latency_ms.get(op, 0.0) for op in block) for block in space.blocks)
    return LatencyMatrix(space, constant_ms, blocks)


def independent_matrix(widths: list[int], seed: int) -> LatencyMatrix:
    generator = np.random.default_rng(seed)
    blocks = tuple(tuple(generator.uniform(0, 2, width).tolist()) for width in widths)
    return LatencyMatrix(chain(widths), generator.uniform(-1, 1), blocks)


def network(space: ChainSpace, architecture: Architecture) -> tuple[OpSpec, ...]:
    return tuple(op for op in space.ops(architecture) if not op.is_free)


def within(matrix: LatencyMatrix, floor_ms: float, budget_ms: float) -> list[Architecture]:
    architectures = list(matrix.space.enumerate())
    prices = matrix.price(architectures)
    pairs = zip(architectures, prices, strict=True)
    return [architecture for architecture, ms in pairs if floor_ms <= ms <= budget_ms]


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1.1),
    st.floats(0, 1),
)
def test_a_small_set_is_returned_whole(
    widths: list[int], seed: int, share: float, floor_share: float
) -> None:
    matrix = independent_matrix(widths, seed)
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    budget_ms = fastest_ms + share * (slowest_ms - fastest_ms)
    floor_ms = fastest_ms + floor_share * (budget_ms - fastest_ms) - 1e-6
    expected = within(matrix, floor_ms, budget_ms)
    generator = np.random.default_rng(0)
    if not expected:
        with pytest.raises(InputError, match="lower floor_ms"):
            sample_pool(matrix, budget_ms, 10_000, generator, floor_ms)
        return
    pool = sample_pool(matrix, budget_ms, 10_000, generator, floor_ms)
    assert list(pool.architectures) == expected
    assert pool.admissible == pool.admissible_at_most == len(expected)
    assert pool.space_size == matrix.space.size


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_budgets_met_exactly_belong_to_the_set(seed: int, rank: int) -> None:
    matrix = independent_matrix([3, 4, 2, 3, 5], seed)
    prices = np.sort(matrix.price(list(matrix.space.enumerate())))
    # The constant of a model may be negative, and so may the price of a small network.
    budget_ms = float(prices[rank - 1])
    pool = sample_pool(matrix, budget_ms, 400, np.random.default_rng(0), floor_ms=-1.0)
    assert len(pool.architectures) == rank
    assert pool.latencies_ms.max() == prices[rank - 1]


def test_tied_latencies_are_settled_by_their_price() -> None:
    # A tenth is no binary fraction: sums of it differ in their last bit.
    space = chain([4] * 5)
    matrix = LatencyMatrix(space, 0.1, ((0.0, 0.1, 0.2, 0.3),) * 5)
    for budget_ms in (0.1, 0.3, 0.4, 0.7, 1.6):
        pool = sample_pool(matrix, budget_ms, 2_000, np.random.default_rng(0))
        assert list(pool.architectures) == within(matrix, 0.0, budget_ms)


@pytest.mark.parametrize("skippable", [False, True])
def test_each_network_appears_once_whatever_way_it_is_written(skippable: bool) -> None:
    matrix = random_matrix(chain([2, 2, 2, 3, 3], skippable), 0)
    budget_ms = (matrix.fastest()[1] + matrix.slowest()[1]) / 2
    pool = sample_pool(matrix, budget_ms, 10_000, np.random.default_rng(0))
    networks = [network(matrix.space, architecture) for architecture in pool.architectures]
    expected = {network(matrix.space, a) for a in within(matrix, 0.0, budget_ms)}
    assert len(networks) == len(set(networks)) == pool.admissible
    assert set(networks) == expected


def test_skips_of_different_blocks_stay_apart() -> None:
    # No block has the candidates of another: no network can be written in two ways.
    space = chain([2, 3, 1], skippable=True)
    matrix = random_matrix(space, 0)
    pool = sample_pool(matrix, 100.0, 1_000, np.random.default_rng(0))
    assert len(pool.architectures) == pool.admissible == space.size


def sampled_instead_of_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_LISTED", 0)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("floor_share", [0.0, 0.6])
@pytest.mark.parametrize("skippable", [False, True])
def test_every_admissible_network_is_as_likely(
    monkeypatch: pytest.MonkeyPatch, listed: bool, floor_share: float, skippable: bool
) -> None:
    if not listed:
        sampled_instead_of_listed(monkeypatch)
    matrix = random_matrix(chain([3, 3, 3, 2], skippable), 3)
    budget_ms = (matrix.fastest()[1] + matrix.slowest()[1]) / 2
    everything = sample_pool(matrix, budget_ms, 1_000, np.random.default_rng(0))
    floor_ms = floor_share * budget_ms
    admissible = [
        architecture
        for architecture, ms in zip(everything.architectures, everything.latencies_ms, strict=True)
        if ms >= floor_ms
    ]
    assert len(admissible) > 10
    generator = np.random.default_rng(1)
    seen: Counter[Architecture] = Counter()
    for _ in range(600):
        drawn = sample_pool(matrix, budget_ms, 5, generator, floor_ms).architectures
        assert len(set(drawn)) == 5
        seen.update(drawn)
    assert set(seen) <= set(admissible)
    # Five of n without replacement spread less than chi-square: by (n - 5) / (n - 1).
    expected = 3_000 / len(admissible)
    statistic = sum((seen[architecture] - expected) ** 2 / expected for architecture in admissible)
    statistic *= (len(admissible) - 1) / (len(admissible) - 5)
    assert scipy.stats.chi2.sf(statistic, len(admissible) - 1) > 1e-4


def test_a_pool_of_a_vast_space_is_uniform_in_each_block() -> None:
    # Without a binding budget each candidate of each block is drawn as often.
    matrix = independent_matrix([6] * 23, 0)
    space = matrix.space
    pool = sample_pool(matrix, 1e3, 3_000, np.random.default_rng(0))
    assert pool.admissible == pool.admissible_at_most == space.size == 6**23
    for column in space.encode(pool.architectures).T:
        counts = np.bincount(column, minlength=6)
        assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_counts_enclose_the_truth_in_a_space_that_can_still_be_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampled_instead_of_listed(monkeypatch)
    monkeypatch.setattr(pool_module, "_CELLS", (256,))
    matrix = independent_matrix([4] * 6, 0)
    budget_ms = matrix.fastest()[1] + 0.4 * (matrix.slowest()[1] - matrix.fastest()[1])
    pool = sample_pool(matrix, budget_ms, 50, np.random.default_rng(0))
    truth = len(within(matrix, 0.0, budget_ms))
    assert pool.admissible <= truth <= pool.admissible_at_most
    assert pool.admissible < pool.admissible_at_most < 1.2 * pool.admissible


@pytest.mark.parametrize("share", [0.03, 0.3, 0.7])
@pytest.mark.parametrize("floor_share", [0.0, 0.95])
def test_a_pool_of_the_mobile_space_is_within_the_window_and_all_different(
    share: float, floor_share: float
) -> None:
    matrix = random_matrix(mobile(), 0)
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    budget_ms = fastest_ms + share * (slowest_ms - fastest_ms)
    pool = sample_pool(matrix, budget_ms, 200, np.random.default_rng(0), floor_share * budget_ms)
    assert len(pool.architectures) == 200
    assert len({network(matrix.space, a) for a in pool.architectures}) == 200
    assert pool.latencies_ms.tolist() == matrix.price(pool.architectures).tolist()
    assert floor_share * budget_ms <= pool.latencies_ms.min()
    assert pool.latencies_ms.max() <= budget_ms
    assert 200 <= pool.admissible <= pool.admissible_at_most < pool.space_size
    assert str(f"{pool.admissible:,} networks") in pool.funnel


def test_a_space_beyond_64_bit_counts_is_sampled_within_the_window() -> None:
    matrix = independent_matrix([6] * 60, 0)
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    budget_ms = fastest_ms + 0.3 * (slowest_ms - fastest_ms)
    pool = sample_pool(matrix, budget_ms, 20, np.random.default_rng(0), 0.5 * budget_ms)
    assert len(set(pool.architectures)) == 20
    assert 0.5 * budget_ms <= pool.latencies_ms.min() <= pool.latencies_ms.max() <= budget_ms
    assert 0 < pool.admissible <= pool.admissible_at_most <= matrix.space.size


def test_the_same_generator_state_draws_the_same_pool() -> None:
    matrix = random_matrix(mobile(), 0)
    budget_ms = matrix.fastest()[1] * 3
    first, again, other = (
        sample_pool(matrix, budget_ms, 20, np.random.default_rng(seed)).architectures
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_below_the_fastest_network_there_is_no_pool_and_it_is_named() -> None:
    matrix = random_matrix(mobile_tiny(), 0)
    fastest, fastest_ms = matrix.fastest()
    with pytest.raises(BudgetError, match=fastest.id):
        sample_pool(matrix, math.nextafter(fastest_ms, 0), 5, np.random.default_rng(0))
    pool = sample_pool(matrix, fastest_ms, 5, np.random.default_rng(0))
    assert pool.architectures == (fastest,)
    assert pool.admissible == 1


@pytest.mark.parametrize("count", [0, -1])
def test_a_pool_has_at_least_one_network(count: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        sample_pool(random_matrix(mobile_tiny(), 0), 1e3, count, np.random.default_rng(0))


@pytest.mark.parametrize("floor_ms", [1e6, math.nan, math.inf])
def test_a_floor_above_every_network_is_refused(floor_ms: float) -> None:
    with pytest.raises(InputError, match="the slowest is"):
        sample_pool(random_matrix(mobile_tiny(), 0), 1e9, 5, np.random.default_rng(0), floor_ms)


def test_a_window_too_narrow_to_count_is_refused() -> None:
    matrix = random_matrix(mobile(), 0)
    middle_ms = (matrix.fastest()[1] + matrix.slowest()[1]) / 2
    with pytest.raises(InputError, match="cannot be counted"):
        sample_pool(matrix, middle_ms, 5, np.random.default_rng(0), middle_ms * (1 - 1e-9))


def test_a_space_of_equal_latencies_is_sampled_whole() -> None:
    matrix = LatencyMatrix(chain([2, 3]), 1.0, ((0.5, 0.5), (0.25, 0.25, 0.25)))
    pool = sample_pool(matrix, 1.75, 10, np.random.default_rng(0))
    assert [a.choices for a in pool.architectures] == list(itertools.product(range(2), range(3)))
