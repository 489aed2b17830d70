from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from striped_images import stripes
from torch import nn

from devices.errors import (
    BudgetError,
    DivergedError,
    InputError,
    MeasurementError,
    UnknownNameError,
)
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.data import DataSource, from_dataset
from search.expected_latency import LatencyMatrix
from search.knas import KnasConfig, knas_search
from search.result import KnasResult
from search.spaces.base import ChainSpace
from search.train import TrainConfig, build_network, evaluate

CONFIG = KnasConfig(
    pool_size=8, k=2, proxy_batch_size=8, train=TrainConfig(epochs=2, batch_size=16)
)
BUDGET_MS = 5.0


def small() -> ChainSpace:
    stem = OpSpec.make("conv", (3, 8, 8), out=4, kernel=3, stride=2)
    shape = stem.output_shape
    block = (
        OpSpec.make("mbconv", shape, out=4, kernel=3, stride=1, expand=3),
        OpSpec.make("mbconv", shape, out=4, kernel=5, stride=1, expand=3),
        OpSpec.make("identity", shape),
    )
    pool = OpSpec.make("global_avg_pool", shape)
    return ChainSpace("small", (stem,), (block,) * 3, (pool, OpSpec.make("linear", (4,), out=2)))


def matrix() -> LatencyMatrix:
    return LatencyMatrix(small(), 1.0, ((1.0, 2.0, 0.0),) * 3)


def source() -> DataSource:
    return from_dataset(stripes(64, 0), stripes(16, 2), stripes(32, 1), name="stripes")


def search(config: KnasConfig = CONFIG, budget_ms: float = BUDGET_MS, **more: Any) -> KnasResult:
    return knas_search(small(), matrix(), source(), budget_ms, config, **more)


def test_the_best_by_score_are_trained_and_the_best_by_validation_wins() -> None:
    result = search()
    scores = [candidate.score for candidate in result.candidates]
    assert None not in scores
    assert scores == sorted(scores, reverse=True)
    assert [f.architecture for f in result.finalists] == [
        candidate.architecture for candidate in result.candidates[:2]
    ]
    accuracies = [finalist.validation_accuracy for finalist in result.ranking]
    assert accuracies == sorted(accuracies, reverse=True)
    assert result.winner == result.ranking[0]
    assert all(candidate.predicted_ms <= BUDGET_MS for candidate in result.candidates)


def test_the_funnel_counts_every_step() -> None:
    funnel = search(admit=lambda architecture: (1.0, 1.1)).funnel
    assert dataclasses.astuple(funnel) == (27, 11, 8, 8, 2, 2)


def test_the_weights_are_those_that_were_judged() -> None:
    result = search()
    for finalist in result.ranking:
        network = build_network(small(), finalist.architecture, 99)
        network.load_state_dict(dict(result.weights[finalist.architecture]))
        assert evaluate(network, source().validation) == finalist.validation_accuracy
        assert evaluate(network, source().test) == finalist.test_accuracy


def test_the_same_seed_finds_the_same() -> None:
    before = torch.get_rng_state()
    assert search() == search()
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_over_the_budget_when_measured_give_way_to_the_next_best() -> None:
    order = [candidate.architecture for candidate in search().candidates]
    asked: list[Architecture] = []

    def admit(architecture: Architecture) -> tuple[float, float]:
        asked.append(architecture)
        # The median of the first is within the budget, but its interval is not.
        return (4.9, 5.1) if architecture in order[:2] else (3.0, 3.5)

    result = search(admit=admit)
    assert asked == order[:4]
    assert [finalist.status for finalist in result.finalists] == [
        "over budget",
        "over budget",
        "trained",
        "trained",
    ]
    assert {finalist.architecture for finalist in result.ranking} == set(order[2:4])
    assert (result.winner.measured_ms, result.winner.upper_ms) == (3.0, 3.5)
    assert result.finalists[0].validation_accuracy is None
    assert result.funnel.measured == 4


def test_no_network_within_the_budget_when_measured_is_an_error() -> None:
    with pytest.raises(BudgetError, match=r"none of 8 .* 5.00 ms when measured.*at least 9.00 ms"):
        search(admit=lambda architecture: (8.0, 9.0))


def test_a_latency_that_is_no_number_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="measured at nan ms"):
        search(admit=lambda architecture: (math.nan, math.nan))


def test_a_hopeless_budget_is_said_before_anything_is_scored() -> None:
    with pytest.raises(BudgetError, match="the fastest is small:222"):
        search(budget_ms=0.5, on_progress=never)


def never(*told: Any) -> None:
    raise AssertionError("nothing may be done")


def scored_by(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    remaining = iter(scores)

    def score(model: nn.Module, *rest: Any) -> float:
        value = next(remaining)
        if value < 0:
            raise InputError("cannot be scored", "the gradient is not finite")
        return value

    monkeypatch.setattr("search.knas.mean_gram", score)


def test_a_failed_score_is_neither_zero_nor_best(monkeypatch: pytest.MonkeyPatch) -> None:
    scored_by(monkeypatch, [0.0, -1.0, math.nan, 5.0, math.inf, 1.0, 2.0, 3.0])
    result = search()
    assert [c.score for c in result.candidates] == [5.0, 3.0, 2.0, 1.0, 0.0, None, None, None]
    failures = {candidate.failure for candidate in result.candidates[5:]}
    assert failures == {
        "cannot be scored: the gradient is not finite",
        "the score is nan",
        "the score is inf",
    }
    assert result.funnel.scored == 5


def test_nothing_that_can_be_scored_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scored_by(monkeypatch, [-1.0] * 8)
    with pytest.raises(InputError, match="none of 8 networks could be scored: cannot be scored"):
        search()


def test_random_is_the_same_search_with_nothing_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.knas.mean_gram", never)
    config = dataclasses.replace(CONFIG, score="random")
    result = search(config)
    assert result == search(config)
    assert all(candidate.score is None for candidate in result.candidates)
    assert result.funnel.trained == 2
    orders = {
        tuple(c.architecture for c in search(dataclasses.replace(config, seed=seed)).candidates)
        for seed in range(3)
    }
    assert len(orders) == 3


def test_a_finalist_that_diverges_is_a_row_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    import search.knas

    real = search.knas.train
    first: list[int] = []

    def train(*arguments: Any, **named: Any) -> Any:
        if not first:
            first.append(1)
            raise DivergedError("the loss became nan in epoch 1")
        return real(*arguments, **named)

    monkeypatch.setattr("search.knas.train", train)
    result = knas_search(small(), matrix(), source(), BUDGET_MS, CONFIG)
    assert [finalist.status for finalist in result.finalists] == ["diverged", "trained"]
    assert result.finalists[0].failure == "the loss became nan in epoch 1"
    assert result.winner == result.finalists[1]


def test_all_finalists_diverging_is_an_error() -> None:
    bold = dataclasses.replace(CONFIG.train, learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(DivergedError, match="all 2 finalists diverged"):
        search(dataclasses.replace(CONFIG, train=bold))


def test_an_interrupted_search_trains_only_what_is_missing(tmp_path: Path) -> None:
    wanted = search()

    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("train", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(checkpoint=tmp_path, on_progress=interrupt)
    told: list[tuple[str, int, int]] = []
    result = search(checkpoint=tmp_path, on_progress=lambda *more: told.append(more))
    assert result == wanted
    assert [done for stage, done, _ in told if stage == "measure"] == [2]
    # The first epoch of the second network was kept, and its file gone when it was not needed more.
    assert [done for stage, done, _ in told if stage == "train"] == [2, 4, 4]
    assert not list(tmp_path.glob("*.training.pt"))
    name = result.winner.architecture
    for key, tensor in wanted.weights[name].items():
        assert torch.equal(result.weights[name][key], tensor)


def test_more_finalists_go_on_from_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(checkpoint=tmp_path)
    monkeypatch.setattr("search.knas.mean_gram", never)
    result = search(dataclasses.replace(CONFIG, k=3), checkpoint=tmp_path)
    assert result.funnel.trained == 3
    with pytest.raises(InputError, match=r"config.train.epochs was 2, is 1"):
        search(
            dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=1)),
            checkpoint=tmp_path,
        )


def test_progress_reaches_its_end_in_every_stage() -> None:
    last: dict[str, tuple[int, int]] = {}
    search(
        admit=lambda architecture: (1.0, 1.0),
        on_progress=lambda stage, done, total: last.__setitem__(stage, (done, total)),
    )
    assert last == {"score": (8, 8), "measure": (2, 2), "train": (4, 4)}


@pytest.mark.parametrize(
    ("change", "error"),
    [({"score": "best"}, UnknownNameError), ({"k": 0}, InputError), ({"seed": -1}, InputError)],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        dataclasses.replace(CONFIG, **change)
