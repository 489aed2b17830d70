from __future__ import annotations

import numpy as np
import pytest
from strategy_problems import Additive, chain_problem, list_problem, matrix_of

from devices.errors import InputError
from search.architecture import Architecture
from search.spaces.mobile import mobile
from search.strategies.admissible import ChainAdmissible, ListAdmissible
from search.strategies.reinforce import Reinforce
from search.strategies.uniform import RandomSearch


def test_on_average_reinforce_beats_random() -> None:
    admissible = chain_problem(8, 4, 0.5)
    best = {
        strategy.name: [
            strategy.search(admissible, Additive(admissible), 150, seed).best.score
            for seed in range(10)
        ]
        for strategy in (RandomSearch(), Reinforce())
    }
    assert np.mean(best["reinforce"]) > np.mean(best["random"]) + 0.1


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_the_values_does_not_matter(scale: float) -> None:
    admissible = list_problem(0.8)
    evaluate = Additive(admissible)
    plain = Reinforce().search(admissible, evaluate, 40).history
    scaled = Reinforce().search(admissible, lambda a: scale * evaluate(a) + 5, 40).history
    assert [one.architecture for one in plain] == [one.architecture for one in scaled]


def test_values_that_are_all_the_same_teach_nothing() -> None:
    admissible = chain_problem()
    assert len(Reinforce().search(admissible, lambda architecture: 1.0, 30).history) == 30


def test_rejected_samples_are_counted_and_not_evaluated() -> None:
    admissible = chain_problem(6, 3, 0.35)
    evaluate = Additive(admissible)
    result = Reinforce().search(admissible, evaluate, 10)
    assert len(evaluate.asked) == 10
    assert result.refused["over budget"] > 10


def test_choices_that_a_list_does_not_have_are_refused() -> None:
    whole = list_problem(1.0)
    some = dict(list(whole.latencies_ms.items())[::4])
    admissible = ListAdmissible(some, 5.0, whole.neighbours_of)
    result = Reinforce().search(admissible, Additive(admissible), 15)
    assert result.refused["not in the space"] > 0
    assert {one.architecture for one in result.history} <= set(some)


def test_a_budget_that_samples_never_meet_is_met_by_uniform_draws() -> None:
    matrix = matrix_of(mobile())
    budget_ms = matrix.fastest()[1] + 0.02 * (matrix.slowest()[1] - matrix.fastest()[1])
    admissible = ChainAdmissible(matrix, budget_ms)
    result = Reinforce(patience=20).search(admissible, Additive(admissible), 20)
    assert len(result.history) == 20
    assert max(one.latency_ms for one in result.history) <= budget_ms
    assert result.refused["over budget"] >= 20


def test_a_failure_is_avoided_as_the_worst_is() -> None:
    admissible = chain_problem(8, 4, 1.0)

    def first_choice(architecture: Architecture) -> float:
        return float("nan") if architecture.choices[0] == 0 else float(architecture.choices[0])

    early = late = 0
    for seed in range(5):
        history = Reinforce().search(admissible, first_choice, 60, seed).history
        early += sum(one.value is None for one in history[:20])
        late += sum(one.value is None for one in history[-20:])
    assert late < early / 2


@pytest.mark.parametrize("settings", [{"rate": 0.0}, {"patience": 0}, {"momentum": 1.0}])
def test_settings_that_cannot_learn_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        Reinforce(**settings)  # type: ignore[arg-type]
