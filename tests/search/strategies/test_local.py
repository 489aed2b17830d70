from __future__ import annotations

import numpy as np
from strategy_problems import Additive, chain_problem, list_problem

from search.strategies.base import Evaluation
from search.strategies.local import LocalSearch
from search.strategies.uniform import RandomSearch


def test_on_average_local_search_beats_random() -> None:
    admissible = chain_problem(8, 4, 0.5)
    best = {
        strategy.name: [
            strategy.search(admissible, Additive(admissible), 60, seed).best.score
            for seed in range(12)
        ]
        for strategy in (RandomSearch(), LocalSearch())
    }
    assert np.mean(best["local"]) > np.mean(best["random"]) + 0.2


def test_the_first_better_neighbour_is_gone_to_at_once() -> None:
    admissible = chain_problem(6, 3)
    history = LocalSearch().search(admissible, Additive(admissible), 15).history
    current = history[0]
    for found in history[1:8]:
        within = admissible.neighbours(current.architecture).within
        assert any(found.architecture in group for group in within)
        if found.score > current.score:
            current = found


def test_the_steepest_climb_sees_all_neighbours_before_it_moves() -> None:
    admissible = list_problem(1.0)
    history = LocalSearch(steepest=True).search(admissible, Additive(admissible), 9).history
    # Four positions with two other choices each.
    around = admissible.neighbours_of(history[0].architecture)
    assert {one.architecture for one in history[1:]} == set(around)


def test_a_climb_ends_at_a_network_without_a_better_neighbour() -> None:
    admissible = list_problem(0.5)
    told: list[Evaluation] = []
    LocalSearch(steepest=True).search(
        admissible, Additive(admissible), 40, on_evaluation=told.append
    )
    known = {one.architecture: one.score for one in told}
    peaks = [
        architecture
        for architecture, score in known.items()
        if all(
            other in known and known[other] <= score
            for group in admissible.neighbours(architecture).within
            for other in group
        )
    ]
    assert peaks


def test_values_known_from_an_earlier_climb_cost_nothing() -> None:
    admissible = chain_problem(4, 3, 0.5)
    result = LocalSearch().search(admissible, Additive(admissible), 40)
    assert result.refused["already evaluated"] > 0
    assert result.refused["over budget"] > 0
