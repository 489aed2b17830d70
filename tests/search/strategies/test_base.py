from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from strategy_problems import Additive, chain, chain_problem, list_problem, listed, matrix_of

from devices.errors import DivergedError, InputError
from search.architecture import Architecture
from search.strategies.admissible import Admissible, ChainAdmissible, ListAdmissible
from search.strategies.base import Evaluation, Ledger, Strategy
from search.strategies.evolution import RegularizedEvolution
from search.strategies.local import LocalSearch
from search.strategies.nsga2 import Nsga2
from search.strategies.predictor import PredictorSearch
from search.strategies.reinforce import Reinforce
from search.strategies.tpe import TpeSearch
from search.strategies.uniform import RandomSearch

STRATEGIES: list[Strategy] = [
    RandomSearch(),
    RegularizedEvolution(population=6, sample=3),
    LocalSearch(),
    LocalSearch(steepest=True),
    Reinforce(),
    PredictorSearch(initial=4, pool=30, renewed=5),
    PredictorSearch("gp", initial=4, pool=30, renewed=5),
    Nsga2(population=6),
    TpeSearch(initial=4, patience=20),
]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
every_problem = pytest.mark.parametrize("problem", ["chain", "list"])


def problem_of(kind: str) -> ChainAdmissible | ListAdmissible:
    return chain_problem() if kind == "chain" else list_problem()


@every_strategy
@every_problem
def test_evaluations_are_counted_and_none_is_over_the_budget_or_made_twice(
    strategy: Strategy, problem: str
) -> None:
    admissible = problem_of(problem)
    evaluate = Additive(admissible)
    told: list[Evaluation] = []
    result = strategy.search(admissible, evaluate, 25, seed=1, on_evaluation=told.append)
    assert len(evaluate.asked) == len(result.history) == 25
    assert len(set(evaluate.asked)) == 25
    assert tuple(told) == result.history
    assert [one.order for one in result.history] == list(range(25))
    assert [one.architecture for one in result.history] == evaluate.asked
    assert set(evaluate.asked) <= set(listed(admissible))
    for one in result.history:
        assert one.value == evaluate.value(one.architecture)
        assert one.latency_ms == admissible.latency_ms(one.architecture) <= admissible.budget_ms
        assert one.seconds >= 0
    assert result.best.value == max(one.score for one in result.history)
    assert result.stop == "evaluations"
    assert result.strategy == strategy.name
    assert (result.budget_ms, result.seed) == (admissible.budget_ms, 1)


@every_strategy
@every_problem
def test_the_seed_decides(strategy: Strategy, problem: str) -> None:
    admissible = problem_of(problem)

    def asked(seed: int) -> list[Architecture]:
        evaluate = Additive(admissible)
        strategy.search(admissible, evaluate, 20, seed)
        return evaluate.asked

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


@every_strategy
@every_problem
@pytest.mark.parametrize("cut", [1, 7, 19])
def test_a_search_goes_on_from_its_rows_as_if_it_had_not_stopped(
    strategy: Strategy, problem: str, cut: int
) -> None:
    admissible = problem_of(problem)
    whole = strategy.search(admissible, Additive(admissible), 20, seed=2)
    first = strategy.search(admissible, Additive(admissible), cut, seed=2)
    rows = [json.loads(json.dumps(one.row())) for one in first.history]
    evaluate = Additive(admissible)
    history = [Evaluation.from_row(row) for row in rows]
    told: list[Evaluation] = []
    again = strategy.search(
        admissible, evaluate, 20, seed=2, history=history, on_evaluation=told.append
    )
    assert len(evaluate.asked) == len(told) == 20 - cut
    assert again.history[:cut] == first.history
    assert [a.architecture for a in again.history] == [a.architecture for a in whole.history]
    assert [a.value for a in again.history] == [a.value for a in whole.history]
    assert again.refused == whole.refused


@every_strategy
@every_problem
def test_more_evaluations_than_networks_find_the_best_of_all(
    strategy: Strategy, problem: str
) -> None:
    admissible = chain_problem(3, 2, 0.6) if problem == "chain" else list_problem(0.3)
    networks = listed(admissible)
    evaluate = Additive(admissible)
    result = strategy.search(admissible, evaluate, 10 * len(networks))
    assert result.stop == "nothing left"
    assert sorted(evaluate.asked) == sorted(networks)
    assert result.best.value == max(map(evaluate.value, networks))


@every_strategy
def test_a_budget_that_one_network_meets(strategy: Strategy) -> None:
    matrix = matrix_of(chain(4, 3))
    fastest, fastest_ms = matrix.fastest()
    admissible = ChainAdmissible(matrix, fastest_ms)
    result = strategy.search(admissible, Additive(admissible), 10)
    assert [one.architecture for one in result.history] == [fastest]
    assert result.best.architecture == fastest
    assert result.stop == "nothing left"


@every_strategy
@pytest.mark.parametrize("fault", ["diverged", "nan"])
def test_a_failure_is_counted_and_is_never_the_best(strategy: Strategy, fault: str) -> None:
    admissible = chain_problem(3, 2, 0.6)
    evaluate = Additive(admissible)
    best = max(listed(admissible), key=evaluate.value)

    def failing(architecture: Architecture) -> float:
        if architecture != best:
            return evaluate(architecture)
        if fault == "nan":
            return math.nan
        raise DivergedError("the loss became nan", "a learning rate of 9 is too high")

    result = strategy.search(admissible, failing, 10_000)
    (failed,) = [one for one in result.history if one.failure]
    assert failed.architecture == best
    assert failed.value is None
    assert "nan" in failed.failure
    assert len(result.history) == len(listed(admissible))
    assert result.best.architecture != best


@every_strategy
def test_all_failures_are_an_error_only_when_the_best_is_asked_for(strategy: Strategy) -> None:
    def failing(architecture: Architecture) -> float:
        raise DivergedError("the loss became nan")

    result = strategy.search(chain_problem(), failing, 20)
    assert len(result.history) == 20
    with pytest.raises(DivergedError, match="all 20 networks failed: the loss became nan"):
        _ = result.best


@every_strategy
def test_other_errors_stop_the_search_and_what_was_told_goes_on(strategy: Strategy) -> None:
    admissible = chain_problem()
    evaluate = Additive(admissible)
    told: list[Evaluation] = []

    def interrupted(architecture: Architecture) -> float:
        if len(evaluate.asked) == 5:
            raise KeyboardInterrupt
        return evaluate(architecture)

    with pytest.raises(KeyboardInterrupt):
        strategy.search(admissible, interrupted, 12, on_evaluation=told.append)
    whole = strategy.search(admissible, Additive(admissible), 12)
    again = strategy.search(admissible, Additive(admissible), 12, history=told)
    assert len(told) == 5
    assert [a.architecture for a in again.history] == [a.architecture for a in whole.history]


@every_strategy
def test_repeats_are_made_when_they_are_asked_for(strategy: Strategy) -> None:
    admissible = chain_problem(3, 2, 0.4)
    count = 5 * len(listed(admissible))
    result = strategy.search(admissible, Additive(admissible), count, repeats=True)
    assert len(result.history) == count


def test_of_equal_values_the_fastest_is_best() -> None:
    result = RandomSearch().search(chain_problem(), lambda architecture: 1.0, 50)
    assert result.best.latency_ms == min(one.latency_ms for one in result.history)


def test_the_front_is_of_what_was_evaluated_and_did_not_fail() -> None:
    admissible = chain_problem()
    evaluate = Additive(admissible)

    def failing(architecture: Architecture) -> float:
        return math.inf if architecture.choices[0] == 1 else evaluate(architecture)

    result = RandomSearch().search(admissible, failing, 40)
    front = result.front
    assert front[-1] == result.best
    assert [one.latency_ms for one in front] == sorted(one.latency_ms for one in front)
    for one in result.history:
        better = [o for o in front if o.score >= one.score and o.latency_ms <= one.latency_ms]
        assert better or one.value is None


def test_no_evaluation_begins_when_the_time_is_over() -> None:
    admissible = chain_problem()
    whole = RandomSearch().search(admissible, Additive(admissible), 10)
    slow = [
        Evaluation(one.order, one.architecture, one.value, one.latency_ms, 2.0)
        for one in whole.history[:4]
    ]
    evaluate = Additive(admissible)
    result = RandomSearch().search(admissible, evaluate, 10, history=slow, max_seconds=7.0)
    assert (result.stop, result.seconds, evaluate.asked) == ("seconds", 8.0, [])
    longer = RandomSearch().search(admissible, evaluate, 10, history=slow, max_seconds=60.0)
    assert (longer.stop, len(longer.history)) == ("evaluations", 10)


def test_a_history_of_another_search_is_refused() -> None:
    admissible = chain_problem()
    history = RandomSearch().search(admissible, Additive(admissible), 5, seed=1).history
    with pytest.raises(InputError, match="not one of random with this seed"):
        RandomSearch().search(admissible, Additive(admissible), 5, seed=2, history=history)
    one = ChainAdmissible(admissible.matrix, admissible.matrix.fastest()[1])
    same = Evaluation(0, one.matrix.fastest()[0], 1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="more than there are"):
        RandomSearch().search(one, Additive(one), 5, history=[same, *history])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"evaluations": 0}, "0 evaluations"),
        ({"evaluations": 1, "seed": -1}, "seed -1"),
        ({"evaluations": 1, "max_seconds": 0.0}, "0.0 seconds"),
    ],
)
def test_settings_that_make_no_search_are_refused(settings: dict[str, float], told: str) -> None:
    admissible = chain_problem()
    with pytest.raises(InputError, match=told):
        RandomSearch().search(admissible, Additive(admissible), **settings)  # type: ignore[arg-type]


class _Fixed(Strategy):
    def __init__(self, *architectures: Architecture) -> None:
        self.architectures = architectures

    @property
    def name(self) -> str:
        return "fixed"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        yield from self.architectures


def test_a_strategy_cannot_cheat() -> None:
    admissible = chain_problem()
    evaluate = Additive(admissible)
    slowest, _ = admissible.matrix.slowest()
    with pytest.raises(InputError, match="over the budget"):
        _Fixed(slowest).search(admissible, evaluate, 5)
    fastest = admissible.canonical(admissible.matrix.fastest()[0])
    with pytest.raises(InputError, match="evaluated already"):
        _Fixed(fastest, fastest).search(admissible, evaluate, 5)
    other = Architecture("small", (3, 0, 3, 3, 3))
    assert admissible.canonical(other).choices == (0, 3, 3, 3, 3)
    with pytest.raises(InputError, match="evaluated already"):
        _Fixed(other).search(admissible, evaluate, 5)
    assert evaluate.asked == [fastest]


ROW = Evaluation(0, Architecture("small", (0, 1)), 0.5, 1.25, 2.0).row()


def test_a_row_is_read_back_as_it_was() -> None:
    assert Evaluation.from_row(ROW).row() == ROW
    assert ROW["architecture"] == "small:01"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"architecture": "small:0"},
        {"order": 1, "x": 2},
        {**ROW, "value": "0.5"},
        {**ROW, "value": math.nan},
        {**ROW, "seconds": None},
        {**ROW, "failure": 1},
        {**ROW, "architecture": 7},
    ],
)
def test_rows_that_are_no_evaluations_are_refused(row: dict[str, object]) -> None:
    with pytest.raises(InputError, match="is not an evaluation"):
        Evaluation.from_row(row)
