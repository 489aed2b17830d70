from __future__ import annotations

import numpy as np
import pytest
from strategy_problems import Additive, chain_problem, matrix_of

from devices.errors import InputError
from search.spaces.mobile import mobile
from search.strategies.admissible import ChainAdmissible
from search.strategies.evolution import RegularizedEvolution
from search.strategies.uniform import RandomSearch


def test_on_average_evolution_beats_random() -> None:
    admissible = chain_problem(8, 4, 0.5)
    best = {
        strategy.name: [
            strategy.search(admissible, Additive(admissible), 60, seed).best.score
            for seed in range(12)
        ]
        for strategy in (RandomSearch(), RegularizedEvolution(population=12, sample=4))
    }
    assert np.mean(best["evolution"]) > np.mean(best["random"]) + 0.2


def test_children_are_one_change_away_from_one_alive() -> None:
    admissible = chain_problem(6, 3)
    strategy = RegularizedEvolution(population=5, sample=5)
    history = strategy.search(admissible, Additive(admissible), 40).history
    children = 0
    for i in range(5, 40):
        # The tournament is of all alive, so the parent is known: the best of the last five.
        parent = max(history[i - 5 : i], key=lambda one: one.score)
        within = admissible.neighbours(parent.architecture).within
        evaluated = {one.architecture for one in history[:i]}
        born = {a for group in within for a in group} - evaluated
        # A stranger only comes where no child can be born.
        assert history[i].architecture in born or not born
        children += bool(born)
    assert children > 25


def test_the_first_ones_are_those_of_random_search_in_kind() -> None:
    admissible = chain_problem(3, 2)
    strategy = RegularizedEvolution(population=4, sample=2)
    firsts = {
        strategy.search(admissible, Additive(admissible), 1, seed).best.architecture
        for seed in range(300)
    }
    assert firsts == set(admissible.shuffled(np.random.default_rng(0)))


def test_what_mutations_may_not_be_is_counted() -> None:
    admissible = chain_problem(4, 3, 0.3)
    refused = RegularizedEvolution(4, 2).search(admissible, Additive(admissible), 30).refused
    assert refused["over budget"] > 0
    assert refused["already evaluated"] > 0


def test_a_vast_space_stays_within_a_tight_budget() -> None:
    matrix = matrix_of(mobile())
    budget_ms = matrix.fastest()[1] + 0.1 * (matrix.slowest()[1] - matrix.fastest()[1])
    admissible = ChainAdmissible(matrix, budget_ms)
    result = RegularizedEvolution().search(admissible, Additive(admissible), 200)
    assert len({one.architecture for one in result.history}) == 200
    assert max(one.latency_ms for one in result.history) <= budget_ms


@pytest.mark.parametrize(("population", "sample"), [(0, 0), (4, 5), (4, 0)])
def test_tournaments_that_cannot_be_are_refused(population: int, sample: int) -> None:
    with pytest.raises(InputError, match="tournaments"):
        RegularizedEvolution(population, sample)
