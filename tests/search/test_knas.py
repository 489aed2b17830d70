from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from small_search import matrix, small, source

from devices.errors import (
    BudgetError,
    DatasetError,
    DivergedError,
    InputError,
    MeasurementError,
    UnknownNameError,
)
from search.architecture import Architecture
from search.knas import KnasConfig, knas_search
from search.parallel.processes import Processes
from search.proxies.base import Score
from search.proxies.context import ScoreContext
from search.result import KnasResult
from search.train import TrainConfig, build_network, evaluate

CONFIG = KnasConfig(
    pool_size=8, k=2, score="mgm", proxy_batch_size=8, train=TrainConfig(epochs=2, batch_size=16)
)
BUDGET_MS = 5.0


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
    slow: list[Architecture] = []

    def admit(architecture: Architecture) -> tuple[float, float]:
        slow.extend([architecture] if not slow else [])
        return (6.0, 6.1) if architecture in slow else (1.0, 1.1)

    funnel = search(admit=admit).funnel
    assert dataclasses.astuple(funnel) == (27, 11, 8, 8, 3, 2, {}, 1, 0, 0, True)
    assert funnel.steps() == [
        ("architectures of the space", 27, ""),
        ("different networks within the budget", 11, "16 over the budget, or the same network"),
        ("in the pool", 8, "3 not drawn"),
        ("scored", 8, ""),
        ("best by score", 3, ""),
        ("measured within the budget", 2, "1 over the budget when measured"),
        ("trained to the end", 2, ""),
    ]


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

    def score(context: ScoreContext, names: Iterable[str]) -> dict[str, Score]:
        value = next(remaining)
        if math.isfinite(value):
            return {"mgm": Score(value, "", 0.0)}
        return {"mgm": Score(None, f"it is {value}", 0.0)}

    monkeypatch.setattr("search.scoring.score", score)


def test_a_failed_score_is_neither_zero_nor_best(monkeypatch: pytest.MonkeyPatch) -> None:
    scored_by(monkeypatch, [0.0, math.nan, math.nan, 5.0, math.inf, 1.0, 2.0, -3.0])
    result = search()
    assert [c.score for c in result.candidates] == [5.0, 2.0, 1.0, 0.0, -3.0, None, None, None]
    assert result.candidates[-1].failure in ("mgm: it is nan", "mgm: it is inf")
    assert result.funnel.scored == 5
    assert result.funnel.failed == {"mgm: it is nan": 2, "mgm: it is inf": 1}
    assert result.funnel.steps()[3] == (
        "scored",
        5,
        "2 failed: mgm: it is nan; 1 failed: mgm: it is inf",
    )


def test_nothing_that_can_be_scored_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scored_by(monkeypatch, [math.nan] * 8)
    with pytest.raises(InputError, match="none of 8 networks could be scored: mgm: it is nan"):
        search()


def test_random_is_the_same_search_with_nothing_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.scoring.score", never)
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
    import search.fine_stage

    real = search.fine_stage.train
    first: list[int] = []

    def train(*arguments: Any, **named: Any) -> Any:
        if not first:
            first.append(1)
            raise DivergedError("the loss became nan in epoch 1")
        return real(*arguments, **named)

    monkeypatch.setattr("search.fine_stage.train", train)
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
    assert [done for stage, done, _ in told if stage == "score"] == [8]
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
    monkeypatch.setattr("search.scoring.score", never)
    result = search(dataclasses.replace(CONFIG, k=3), checkpoint=tmp_path)
    assert result.funnel.trained == 3
    with pytest.raises(InputError, match=r"config.train.epochs was 2, is 1"):
        search(
            dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=1)),
            checkpoint=tmp_path,
        )


def test_latencies_are_not_measured_again_where_they_were_within_the_budget(tmp_path: Path) -> None:
    asked: list[Architecture] = []

    def admit(architecture: Architecture) -> tuple[float, float]:
        asked.append(architecture)
        return (9.0, 9.0) if len(asked) == 1 else (2.0, 2.5)

    first = search(admit=admit, checkpoint=tmp_path)
    assert [finalist.status for finalist in first.finalists] == ["over budget"] + ["trained"] * 2
    # The first one, which may have been slow by chance, is asked again.
    again = search(admit=admit, checkpoint=tmp_path)
    assert asked == [*(f.architecture for f in first.finalists), first.finalists[0].architecture]
    assert [finalist.status for finalist in again.finalists] == ["trained"] * 2


def test_the_worse_half_is_dropped_and_the_others_are_trained_as_without_it() -> None:
    config = dataclasses.replace(CONFIG, k=4, train=TrainConfig(epochs=4, batch_size=16))
    whole = {finalist.architecture: finalist for finalist in search(config).finalists}
    result = search(dataclasses.replace(config, halving=(1, 2)))
    assert [f.architecture for f in result.finalists] == list(whole)
    assert sorted(finalist.epochs for finalist in result.finalists) == [1, 1, 2, 4]
    assert (result.funnel.dropped, result.funnel.trained) == (3, 1)
    assert result.winner == whole[result.winner.architecture]
    dropped = [finalist for finalist in result.finalists if finalist.status == "dropped"]
    assert all(finalist.validation_accuracy is not None for finalist in dropped)
    assert set(result.weights) == {result.winner.architecture}


def test_halving_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    config = dataclasses.replace(
        CONFIG, k=4, halving=(1, 2), train=TrainConfig(epochs=3, batch_size=16)
    )
    wanted = search(config)
    for stop in (2, 5, 6):

        def interrupt(stage: str, done: int, total: int, stop: int = stop) -> None:
            if (stage, done) == ("train", stop):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search(config, checkpoint=tmp_path, on_progress=interrupt)
    last: list[tuple[int, int]] = []
    result = search(
        config,
        checkpoint=tmp_path,
        on_progress=lambda stage, done, total: last.append((done, total)),
    )
    assert result == wanted
    assert last[-1] == (7, 7)


def copied(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  # our own


class Elsewhere:
    """Workers that see no files of the asking process, and give results in reverse order."""

    in_process = False
    shares_files = False

    def results(
        self, work: Callable[[Any], Any], items: Sequence[Any]
    ) -> Generator[tuple[int, Any], None, None]:
        for index in reversed(range(len(items))):
            copies = copied((work, items[index]))
            yield index, copied(copies[0](copies[1]))


@pytest.mark.parametrize("halving", [(), (1,)])
def test_workers_elsewhere_find_the_same(tmp_path: Path, halving: tuple[int, ...]) -> None:
    config = dataclasses.replace(CONFIG, halving=halving, score="naswot+flops")
    assert search(config, workers=Elsewhere()) == search(config)
    kept = search(config, workers=Elsewhere(), checkpoint=tmp_path)
    assert kept == search(config, checkpoint=tmp_path, on_progress=None)


def test_processes_find_the_same(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    assert search(workers=Processes(2), checkpoint=tmp_path) == search()


def test_the_whole_admissible_set_can_be_the_pool() -> None:
    result = search(dataclasses.replace(CONFIG, pool_size=None, score="flops"))
    assert result.funnel.pool == result.funnel.admissible == 11


def test_a_whole_pool_that_is_too_large_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.knas._LARGEST_WHOLE_POOL", 5)
    with pytest.raises(InputError, match=r"11 networks or more .* up to 5"):
        search(dataclasses.replace(CONFIG, pool_size=None))


def test_k_beyond_the_pool_is_refused_before_anything_is_scored() -> None:
    with pytest.raises(InputError, match="k=9 of a pool of 8 networks"):
        dataclasses.replace(CONFIG, k=9)
    # The budget leaves 11.
    with pytest.raises(InputError, match=r"k=12 of a pool of 11 networks: .* a smaller k"):
        search(dataclasses.replace(CONFIG, pool_size=20, k=12), on_progress=never)


def test_fewer_images_than_a_score_takes_are_refused() -> None:
    config = dataclasses.replace(CONFIG, proxy_batch_size=65)
    with pytest.raises(DatasetError, match="has 64 images: networks are scored on 65"):
        search(config, on_progress=never)
    assert search(dataclasses.replace(config, score="random")).funnel.trained == 2


def test_progress_reaches_its_end_in_every_stage() -> None:
    last: dict[str, tuple[int, int]] = {}
    search(
        admit=lambda architecture: (1.0, 1.0),
        on_progress=lambda stage, done, total: last.__setitem__(stage, (done, total)),
    )
    assert last == {"score": (8, 8), "measure": (2, 2), "train": (4, 4)}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"score": "best"}, UnknownNameError),
        ({"k": 0}, InputError),
        ({"seed": -1}, InputError),
        ({"halving": (2,)}, InputError),
        ({"halving": (1, 1)}, InputError),
        ({"halving": (0,)}, InputError),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        dataclasses.replace(CONFIG, **change)
