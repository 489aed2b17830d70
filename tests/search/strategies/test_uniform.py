from __future__ import annotations

from collections import Counter

import scipy.stats
from strategy_problems import Additive, chain_problem, listed, matrix_of

from search.spaces.mobile import mobile
from search.strategies.admissible import ChainAdmissible
from search.strategies.uniform import RandomSearch


def test_over_seeds_every_network_is_evaluated_as_often() -> None:
    admissible = chain_problem(3, 2)
    networks = listed(admissible)
    seen: Counter[object] = Counter()
    for seed in range(50 * len(networks)):
        result = RandomSearch().search(admissible, lambda architecture: 0.0, 2, seed)
        seen.update(one.architecture for one in result.history)
    assert scipy.stats.chisquare([seen[a] for a in networks]).pvalue > 1e-4


def test_nothing_is_refused_since_only_the_admissible_are_drawn() -> None:
    admissible = chain_problem()
    assert RandomSearch().search(admissible, Additive(admissible), 50).refused == {}


def test_a_vast_space_is_searched_within_a_tight_budget() -> None:
    matrix = matrix_of(mobile())
    budget_ms = matrix.fastest()[1] + 0.1 * (matrix.slowest()[1] - matrix.fastest()[1])
    admissible = ChainAdmissible(matrix, budget_ms)
    result = RandomSearch().search(admissible, Additive(admissible), 300)
    assert len({one.architecture for one in result.history}) == 300
    assert max(one.latency_ms for one in result.history) <= budget_ms
