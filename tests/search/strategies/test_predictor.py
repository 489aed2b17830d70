from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from strategy_problems import Additive, chain_problem, list_problem, listed, matrix_of

from devices.errors import InputError, UnknownNameError
from search.architecture import Architecture
from search.spaces.mobile import mobile
from search.strategies.admissible import ChainAdmissible, ListAdmissible
from search.strategies.predictor import PredictorSearch, expected_improvement
from search.strategies.uniform import RandomSearch


@pytest.mark.parametrize("model", ["ridge", "gp"])
def test_on_average_a_predictor_beats_random(model: str) -> None:
    admissible = chain_problem(8, 4, 0.5)
    evaluate = Additive(admissible)
    seeds = range(6)
    guided = [PredictorSearch(model).search(admissible, evaluate, 40, s).best.score for s in seeds]
    random = [RandomSearch().search(admissible, evaluate, 40, s).best.score for s in seeds]
    assert np.mean(guided) > np.mean(random) + 0.3


def test_an_additive_value_is_learned_from_few_networks() -> None:
    admissible = list_problem(0.6)
    evaluate = Additive(admissible)
    best = max(listed(admissible), key=evaluate.value)
    found = PredictorSearch().search(admissible, evaluate, 20, seed=0).best.architecture
    assert found == best


@pytest.mark.parametrize(("mean", "spread"), [(0.5, 0.2), (1.0, 0.5), (1.4, 0.1), (-2.0, 1.0)])
def test_the_expected_improvement_is_that_integral(mean: float, spread: float) -> None:
    def weighed(value: float) -> float:
        return float((value - 1.0) * scipy.stats.norm.pdf(value, mean, spread))

    truth, _ = scipy.integrate.quad(weighed, 1.0, max(mean, 1.0) + 12 * spread)
    found = expected_improvement(np.array([mean]), np.array([spread]), 1.0)
    assert found[0] == pytest.approx(truth, rel=1e-6, abs=1e-12)


def test_without_spread_the_improvement_is_the_gain() -> None:
    found = expected_improvement(np.array([0.5, 1.5]), np.zeros(2), 1.0)
    assert found.tolist() == [0.0, 0.5]


def test_given_features_are_what_it_goes_by() -> None:
    whole = list_problem(1.0)
    hidden = Additive(whole)

    def described(architectures: Sequence[Architecture]) -> np.ndarray:
        return np.array([[hidden.value(a)] for a in architectures])

    admissible = ListAdmissible(
        whole.latencies_ms, whole.budget_ms, whole.neighbours_of, described_by=described
    )
    evaluate = Additive(admissible)
    result = PredictorSearch(initial=4).search(admissible, evaluate, 6)
    assert result.best.score == max(map(evaluate.value, listed(admissible)))


def test_values_that_are_all_the_same_are_no_error() -> None:
    result = PredictorSearch(initial=3).search(chain_problem(), lambda architecture: 1.0, 10)
    assert len(result.history) == 10


def test_a_vast_space_stays_within_a_tight_budget() -> None:
    matrix = matrix_of(mobile())
    budget_ms = matrix.fastest()[1] + 0.1 * (matrix.slowest()[1] - matrix.fastest()[1])
    admissible = ChainAdmissible(matrix, budget_ms)
    result = PredictorSearch().search(admissible, Additive(admissible), 30)
    assert len({one.architecture for one in result.history}) == 30
    assert max(one.latency_ms for one in result.history) <= budget_ms


def test_unknown_models_and_empty_pools_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="ridge"):
        PredictorSearch("ride")
    with pytest.raises(InputError, match="pool=0"):
        PredictorSearch(pool=0)
