from __future__ import annotations

import sys

import numpy as np
import pytest
from strategy_problems import Additive, chain_problem, list_problem, matrix_of

from devices.errors import InputError, MissingExtraError
from search.spaces.mobile import mobile
from search.strategies.admissible import ChainAdmissible, ListAdmissible
from search.strategies.tpe import TpeSearch
from search.strategies.uniform import RandomSearch


def test_on_average_tpe_beats_random() -> None:
    admissible = chain_problem(8, 4, 0.5)
    evaluate = Additive(admissible)
    seeds = range(5)
    guided = [TpeSearch().search(admissible, evaluate, 60, s).best.score for s in seeds]
    random = [RandomSearch().search(admissible, evaluate, 60, s).best.score for s in seeds]
    assert np.mean(guided) > np.mean(random) + 0.1


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    admissible = chain_problem()
    with pytest.raises(MissingExtraError, match=r"pip install 'lutier\[search\]'"):
        TpeSearch().search(admissible, Additive(admissible), 5)


def test_it_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    admissible = chain_problem()
    TpeSearch(initial=4).search(admissible, Additive(admissible), 10)
    assert capfd.readouterr() == ("", "")


def test_a_budget_that_samples_never_meet_is_met_by_uniform_draws() -> None:
    matrix = matrix_of(mobile())
    budget_ms = matrix.fastest()[1] + 0.02 * (matrix.slowest()[1] - matrix.fastest()[1])
    admissible = ChainAdmissible(matrix, budget_ms)
    result = TpeSearch(initial=4, patience=3).search(admissible, Additive(admissible), 10)
    assert len(result.history) == 10
    assert max(one.latency_ms for one in result.history) <= budget_ms


def test_choices_that_a_list_does_not_have_are_refused() -> None:
    whole = list_problem(1.0)
    some = dict(list(whole.latencies_ms.items())[::4])
    admissible = ListAdmissible(some, 5.0, whole.neighbours_of)
    result = TpeSearch(initial=4).search(admissible, Additive(admissible), 15)
    assert result.refused["not in the space"] > 0
    assert {one.architecture for one in result.history} <= set(some)


@pytest.mark.parametrize("settings", [{"initial": 0}, {"patience": 0}])
def test_settings_that_cannot_search_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        TpeSearch(**settings)
