from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_problems import Additive, chain_problem, list_problem

from devices.errors import InputError
from search.pareto import hypervolume
from search.strategies.base import Strategy
from search.strategies.nsga2 import Nsga2, crowding_distances, survivors
from search.strategies.uniform import RandomSearch


def test_on_average_the_front_is_larger_than_that_of_random_search() -> None:
    admissible = chain_problem(8, 4, 0.5)
    evaluate = Additive(admissible)

    def volume(strategy: Strategy, seed: int) -> float:
        front = strategy.search(admissible, evaluate, 80, seed).front
        values = [one.score for one in front]
        return hypervolume(values, [one.latency_ms for one in front], 0.0, admissible.budget_ms)

    found = np.mean([volume(Nsga2(), seed) for seed in range(8)])
    assert found > 1.05 * np.mean([volume(RandomSearch(), seed) for seed in range(8)])


def test_the_front_has_more_than_one_network_and_each_is_faster_for_its_value() -> None:
    admissible = chain_problem(6, 3)
    front = Nsga2(8).search(admissible, Additive(admissible), 60).front
    assert len(front) > 3
    scores = [one.score for one in front]
    assert scores == sorted(scores)


points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15, unique=True)


@given(points, st.integers(0, 16))
def test_no_survivor_is_dominated_by_one_that_died(
    given_points: list[tuple[int, int]], count: int
) -> None:
    values = np.array([float(p[0]) for p in given_points])
    latencies_ms = np.array([float(p[1]) for p in given_points])
    kept = survivors(values, latencies_ms, count).tolist()
    assert len(kept) == len(set(kept)) == min(count, len(given_points))
    died = [p for i, p in enumerate(given_points) if i not in kept]
    for i in kept:
        value, latency_ms = given_points[i]
        assert not any(v >= value and ms <= latency_ms for v, ms in died)


def test_of_one_front_the_ends_and_the_least_crowded_survive() -> None:
    values = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    latencies_ms = np.array([0.0, 1.0, 2.0, 6.0, 10.0])
    distances = crowding_distances(values, latencies_ms)
    assert distances.tolist() == pytest.approx([np.inf, 0.4, 1.0, 1.6, np.inf])
    assert survivors(values, latencies_ms, 3).tolist() == [0, 4, 3]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_front_of_two_or_less_has_no_crowd(count: int) -> None:
    assert crowding_distances(np.arange(count), np.arange(count)).tolist() == [np.inf] * count


def test_what_is_refused_is_counted() -> None:
    admissible = chain_problem(5, 3, 0.4)
    refused = Nsga2(6).search(admissible, Additive(admissible), 40).refused
    assert refused["over budget"] > 0
    assert refused["already evaluated"] > 0


def test_a_list_has_a_front_too() -> None:
    admissible = list_problem()
    result = Nsga2(6).search(admissible, Additive(admissible), 30)
    assert max(one.latency_ms for one in result.front) <= admissible.budget_ms


def test_a_population_of_one_is_refused() -> None:
    with pytest.raises(InputError, match="population=1"):
        Nsga2(1)
