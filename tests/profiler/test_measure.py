"""The measuring loop, on models that answer from a script: no machine, no clock."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pytest

from devices.base import LoadedModel
from devices.errors import DeviceError, MeasurementError
from profiler.events import Event, RoundEnded, Visited
from profiler.measure import measure_rounds
from profiler.protocol import Protocol
from profiler.quality import interval_error
from profiler.reference import Reference
from profiler.visit import PLAIN, Scale, Series, Visit

QUIET = Protocol(warmup_runs=2, timed_runs=3, min_rounds=4, max_rounds=9, target_error=0.01)


class Scripted:
    """A model whose visits take what the script says; an exception in it is raised."""

    def __init__(self, name: str, log: list[str], script: Iterable[float | BaseException]) -> None:
        self._name = name
        self._log = log
        self._script: Iterator[float | BaseException] = iter(script)
        self.asked: list[tuple[int, int]] = []

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        self._log.append(self._name)
        self.asked.append((warmup, runs))
        step = next(self._script)
        if isinstance(step, BaseException):
            raise step
        return [step] * runs

    def close(self) -> None:
        raise AssertionError("the loop does not own the models")


class Bench:
    """Models, what was stored of them, and what happened."""

    def __init__(self, **scripts: Iterable[float | BaseException]) -> None:
        self.log: list[str] = []
        self.models = {name: Scripted(name, self.log, s) for name, s in scripts.items()}
        self.series: dict[str, Series] = {}
        self.kept: list[tuple[str, int, Visit]] = []
        self.failed: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.scale = PLAIN

    def run(
        self,
        protocol: Protocol = QUIET,
        seed: int = 0,
        keep: Callable[[str, int, Visit], None] | None = None,
        models: Mapping[str, LoadedModel] | None = None,
        reference: LoadedModel | None = None,
        nominal_ms: float | None = None,
    ) -> Bench:
        self.scale = measure_rounds(
            self.models if models is None else models,
            self.series,
            protocol,
            np.random.default_rng(seed),
            reference=None if reference is None else Reference(reference),
            nominal_ms=nominal_ms,
            keep=keep or (lambda key, number, visit: self.kept.append((key, number, visit))),
            on_failure=lambda key, reason: self.failed.append((key, reason)),
            on_event=self.events.append,
        )
        return self

    @property
    def visits(self) -> dict[str, int]:
        """Number of visits of each model."""
        return {key: len(series) for key, series in self.series.items()}

    @property
    def ended(self) -> list[RoundEnded]:
        return [event for event in self.events if isinstance(event, RoundEnded)]

    @property
    def rounds(self) -> list[list[str]]:
        """Names in the order they were visited, a round each, where all are visited in each."""
        n = len(self.models)
        return [self.log[i : i + n] for i in range(0, len(self.log), n)]


def constant() -> Iterable[float]:
    return itertools.repeat(1.0)


def noisy() -> Iterable[float]:
    return itertools.cycle([1.0, 2.0])


def before(*times_ms: float) -> Series:
    """Visits of an earlier run."""
    return Series([Visit((value,)) for value in times_ms])


def many(count: int) -> dict[str, Iterable[float | BaseException]]:
    return {f"model{i}": constant() for i in range(count)}


def test_every_model_is_visited_once_a_round() -> None:
    bench = Bench(**many(5)).run()
    assert len(bench.rounds) == QUIET.min_rounds
    assert all(sorted(each) == sorted(bench.models) for each in bench.rounds)


def test_a_visit_has_the_warm_up_and_runs_of_the_protocol() -> None:
    bench = Bench(a=constant()).run()
    assert set(bench.models["a"].asked) == {(2, 3)}
    assert set(bench.series["a"].visits) == {Visit((1.0, 1.0, 1.0))}


def test_the_order_is_new_in_every_round() -> None:
    assert len({tuple(each) for each in Bench(**many(8)).run().rounds}) == QUIET.min_rounds


def test_the_order_follows_from_the_seed() -> None:
    first, again, other = (Bench(**many(8)).run(seed=seed).log for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_each_position_in_a_round_falls_to_every_model() -> None:
    protocol = Protocol(min_rounds=200, max_rounds=200)
    rounds = Bench(**many(4)).run(protocol).rounds
    counts = np.array([[each.index(f"model{i}") for i in range(4)] for each in rounds])
    assert all(
        30 < (counts[:, i] == position).sum() < 70 for i in range(4) for position in range(4)
    )


def test_a_quiet_run_ends_after_the_least_rounds() -> None:
    bench = Bench(a=constant(), b=constant()).run()
    assert bench.visits == dict.fromkeys("ab", QUIET.min_rounds)


def test_a_noisy_run_ends_after_the_most_rounds() -> None:
    bench = Bench(a=noisy(), b=noisy()).run()
    assert bench.visits == dict.fromkeys("ab", QUIET.max_rounds)


def test_a_model_is_measured_until_its_interval_is_narrow() -> None:
    # A loud visit on either side lies outside the interval once there are enough others.
    protocol = Protocol(min_rounds=4, max_rounds=40, target_error=0.01)
    bench = Bench(a=[1.1, 0.9, *itertools.repeat(1.0, 38)]).run(protocol)
    values = bench.series["a"].values_ms(PLAIN)
    assert protocol.min_rounds < len(values) < protocol.max_rounds
    assert interval_error(values) <= protocol.target_error
    asked = [interval_error(values[:n]) for n in range(protocol.min_rounds, len(values))]
    assert all(error > protocol.target_error for error in asked)


def test_the_noisy_ones_go_on_without_the_quiet_ones() -> None:
    quiet = {f"quiet{i}": constant() for i in range(9)}
    bench = Bench(loud=noisy(), **quiet).run()
    assert bench.visits == {"loud": QUIET.max_rounds, **dict.fromkeys(quiet, QUIET.min_rounds)}
    models = [event.models for event in bench.ended]
    assert models == [10] * QUIET.min_rounds + [1] * (QUIET.max_rounds - QUIET.min_rounds)


def test_a_run_lasts_at_least_as_long_as_the_protocol_says() -> None:
    protocol = Protocol(min_rounds=2, max_rounds=2, min_seconds=0.05)
    start = time.monotonic()
    Bench(a=constant()).run(protocol)
    assert time.monotonic() - start >= protocol.min_seconds


def test_a_noisy_run_ends_when_its_time_is_over() -> None:
    protocol = Protocol(min_rounds=3, max_rounds=10**6, max_seconds=0.0)
    bench = Bench(a=noisy()).run(protocol)
    assert bench.visits == {"a": protocol.min_rounds}


def test_every_visit_is_kept_before_the_next_begins() -> None:
    bench = Bench(**many(3))
    kept: list[str] = []

    def keep(key: str, number: int, visit: Visit) -> None:
        kept.append(key)
        assert kept == bench.log
        assert number == len(bench.series[key])

    bench.run(keep=keep)
    assert len(kept) == 3 * QUIET.min_rounds


def test_visits_are_told_after_they_are_kept() -> None:
    bench = Bench(**many(2))
    bench.run()
    told = [(event.key, event.number) for event in bench.events if isinstance(event, Visited)]
    assert told == [(key, number) for key, number, _ in bench.kept]


def test_rounds_are_told_with_their_error() -> None:
    bench = Bench(a=itertools.cycle([1.0, 3.0]), b=constant()).run()
    assert [event.round for event in bench.ended] == list(range(1, QUIET.max_rounds + 1))
    # What is measured well enough still counts in the error of the run.
    assert bench.ended[-1].models == 1
    assert bench.ended[-1].split_half_error == pytest.approx(0.5)


def test_what_lags_behind_catches_up_first() -> None:
    bench = Bench(a=constant(), b=constant(), c=constant())
    bench.series = {"a": before(1.0, 1.0, 1.0), "b": before(1.0)}
    bench.run()
    assert bench.log[0] == "c"
    assert sorted(bench.log[1:3]) == ["b", "c"]
    assert sorted(bench.log[3:5]) == ["b", "c"]
    assert sorted(bench.log[5:]) == ["a", "b", "c"]
    for name in "abc":
        numbers = [number for key, number, _ in bench.kept if key == name]
        assert numbers == list(range(QUIET.min_rounds - len(numbers), QUIET.min_rounds))


def test_what_has_enough_is_not_visited_again() -> None:
    bench = Bench(a=constant(), b=constant())
    bench.series = {key: before(*[1.0] * QUIET.min_rounds) for key in "ab"}
    assert bench.run().log == []


def test_noisy_visits_of_before_count_in_the_stop_rule() -> None:
    bench = Bench(a=constant())
    bench.series = {"a": before(*[1.0, 2.0] * 3)}
    assert bench.run().visits == {"a": QUIET.max_rounds}


def test_nothing_to_measure_ends_at_once() -> None:
    bench = Bench().run()
    assert bench.events == []


def test_a_model_that_fails_is_left_out_and_told_once() -> None:
    trouble = MeasurementError("bad cannot run", "too large")
    bench = Bench(bad=[1.0, trouble], good=constant()).run()
    assert bench.failed == [("bad", "bad cannot run: too large")]
    assert bench.log.count("bad") == 2
    assert bench.visits == {"bad": 1, "good": QUIET.min_rounds}


def test_where_all_fail_measuring_ends() -> None:
    bench = Bench(a=[MeasurementError("a")], b=[1.0, MeasurementError("b")]).run()
    assert [key for key, _ in bench.failed] == ["a", "b"]
    assert len(bench.log) == 3


def test_a_model_that_failed_does_not_count_in_the_error_of_the_run() -> None:
    bench = Bench(bad=[1.0, 9.0, 1.0, MeasurementError("bad")], good=constant()).run()
    assert bench.visits["good"] == QUIET.min_rounds
    assert bench.ended[2].split_half_error > 0.5
    assert bench.ended[3].split_half_error == 0.0


def test_the_callers_models_stay_as_they_were() -> None:
    bench = Bench(bad=[MeasurementError("bad")], good=constant())
    bench.run()
    assert list(bench.models) == ["bad", "good"]


def test_a_device_that_went_away_ends_the_run() -> None:
    with pytest.raises(DeviceError, match="unplugged"):
        Bench(a=[1.0, DeviceError("unplugged")]).run()


class Watching(Scripted):
    """A model that notes whether garbage is collected while it is timed."""

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        self._log.append(str(gc.isenabled()))
        return super().time_ms(warmup=warmup, runs=runs)


@pytest.fixture
def collector() -> Iterator[None]:
    """Garbage collection as it was before the test."""
    enabled = gc.isenabled()
    yield
    (gc.enable if enabled else gc.disable)()


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(
    "end", [None, MeasurementError("x"), DeviceError("x"), KeyboardInterrupt()]
)
def test_no_garbage_is_collected_in_timed_runs_and_the_collector_is_put_back(
    enabled: bool, end: BaseException | None
) -> None:
    bench = Bench()
    after: Iterable[float | BaseException] = constant() if end is None else [end]
    (gc.enable if enabled else gc.disable)()
    ends_the_run = (DeviceError, KeyboardInterrupt)
    comes_through = isinstance(end, ends_the_run) and not isinstance(end, MeasurementError)
    with pytest.raises(ends_the_run) if comes_through else contextlib.nullcontext():
        bench.run(models={"a": Watching("a", bench.log, itertools.chain([1.0], after))})
    assert gc.isenabled() == enabled
    assert {entry for entry in bench.log if entry != "a"} == {"False"}


# The reference


def test_without_a_reference_visits_are_as_timed() -> None:
    bench = Bench(a=constant()).run(nominal_ms=0.5)
    assert bench.scale == PLAIN
    assert not bench.series["a"].references_ms


def test_the_reference_is_timed_between_any_two_visits() -> None:
    bench = Bench(**many(3))
    bench.run(reference=Scripted("reference", bench.log, constant()))
    a_round = 3 + 4
    assert len(bench.log) == QUIET.min_rounds * a_round
    for start in range(0, len(bench.log), a_round):
        assert bench.log[start : start + a_round : 2] == ["reference"] * 4
        assert sorted(bench.log[start + 1 : start + a_round : 2]) == sorted(bench.models)


def test_a_visit_has_the_reference_just_before_and_just_after() -> None:
    bench = Bench(**many(3))
    bench.run(reference=Scripted("reference", bench.log, itertools.count(1.0)))
    # Four timings a round; what is after one visit is before the next.
    first = [(1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (5.0, 6.0), (6.0, 7.0)]
    assert [visit.reference_ms for _, _, visit in bench.kept[:5]] == first


FEW = dataclasses.replace(QUIET, reference_every=3)


def places(bench: Bench) -> list[str]:
    """What was timed, round by round; ``m`` for any of the models."""
    text = "".join("r" if name == "reference" else "m" for name in bench.log)
    size = len(text) // len(bench.ended)
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize(
    ("every", "models", "a_round"),
    [
        (1, 3, "rmrmrmr"),
        (2, 5, "rmmrmmrm"),
        (3, 6, "rmmmrmmmr"),
        (3, 7, "rmmmrmmmrm"),
        (8, 3, "rmmm"),
    ],
)
def test_the_reference_is_timed_at_the_start_of_a_round_and_every_few_visits(
    every: int, models: int, a_round: str
) -> None:
    bench = Bench(**many(models))
    protocol = dataclasses.replace(QUIET, reference_every=every)
    bench.run(protocol, reference=Scripted("reference", bench.log, constant()))
    assert places(bench) == [a_round] * QUIET.min_rounds


def test_a_visit_between_two_timings_has_the_one_before_it() -> None:
    bench = Bench(**many(7))
    bench.run(FEW, reference=Scripted("reference", bench.log, itertools.count(1.0)))
    first = [(1.0,), (1.0,), (1.0, 2.0), (2.0,), (2.0,), (2.0, 3.0), (3.0,)]
    assert [visit.reference_ms for _, _, visit in bench.kept[:7]] == first
    # A round begins with a timing of its own.
    assert bench.kept[7][2].reference_ms == (4.0,)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 100])
def test_however_seldom_it_is_timed_every_visit_has_a_reference(every: int) -> None:
    bench = Bench(**many(5))
    protocol = dataclasses.replace(QUIET, reference_every=every)
    bench.run(protocol, reference=Scripted("reference", bench.log, constant()))
    assert len(bench.kept) == 5 * QUIET.min_rounds
    assert all(visit.reference_ms for _, _, visit in bench.kept)
    assert all(series.is_referenced for series in bench.series.values())


def test_after_a_model_that_failed_the_reference_is_timed_anew() -> None:
    bench = Bench(bad=[MeasurementError("bad")], **many(4))
    bench.run(FEW, reference=Scripted("reference", bench.log, itertools.count(1.0)))
    place = bench.log.index("bad")
    assert bench.log[place + 1] == "reference"
    # The next visit counts by that timing.
    visits = sum(name.startswith("model") for name in bench.log[:place])
    timings = bench.log[: place + 2].count("reference")
    assert bench.log[place + 2].startswith("model")
    assert bench.kept[visits][2].reference_ms[0] == timings


def test_a_reference_that_is_timed_seldom_changes_nothing_without_one() -> None:
    bench = Bench(**many(5)).run(FEW)
    assert bench.log == Bench(**many(5)).run(QUIET).log
    assert bench.scale == PLAIN


class Drifting:
    """A model on a machine that is slower and faster by 40 %, in step with what else is timed."""

    def __init__(self, steps: Iterator[int], latency_ms: float) -> None:
        self._steps = steps
        self._latency_ms = latency_ms

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        return [self._latency_ms * (1 + 0.4 * math.sin(next(self._steps) / 50))] * runs

    def close(self) -> None:
        raise AssertionError("the loop does not own the models")


LONG = Protocol(min_rounds=12, max_rounds=40, target_error=0.01)


def drifting(
    with_reference: bool, nominal_ms: float | None = None, protocol: Protocol = LONG
) -> Bench:
    steps = itertools.count()
    models = {f"model{i}": Drifting(steps, i + 1.0) for i in range(4)}
    reference = Drifting(steps, 0.5) if with_reference else None
    return Bench().run(protocol, models=models, reference=reference, nominal_ms=nominal_ms)


def test_a_drift_that_the_reference_shares_is_no_noise() -> None:
    assert set(drifting(with_reference=False).visits.values()) == {LONG.max_rounds}
    assert set(drifting(with_reference=True).visits.values()) == {LONG.min_rounds}


def test_the_error_of_a_round_is_that_at_one_speed() -> None:
    error = drifting(with_reference=True).ended[-1].split_half_error
    assert error < 0.1 * drifting(with_reference=False).ended[-1].split_half_error


def test_visits_are_brought_to_the_speed_that_is_asked_for() -> None:
    bench = drifting(with_reference=True, nominal_ms=0.5)
    assert bench.scale == Scale(1.0, 0.5)
    for i in range(4):
        values = bench.series[f"model{i}"].values_ms(bench.scale)
        assert values == pytest.approx([i + 1.0] * len(values), rel=0.01)


def test_a_reference_every_few_visits_shows_most_of_a_drift() -> None:
    few = dataclasses.replace(LONG, reference_every=4)
    bench = drifting(with_reference=True, nominal_ms=0.5, protocol=few)
    for i in range(4):
        values = bench.series[f"model{i}"].values_ms(bench.scale)
        plain = bench.series[f"model{i}"].values_ms(PLAIN)
        assert values == pytest.approx([i + 1.0] * len(values), rel=0.05)
        assert plain != pytest.approx([i + 1.0] * len(values), rel=0.3)


def test_by_default_that_is_the_speed_in_the_middle_of_the_run() -> None:
    bench = drifting(with_reference=True)
    references = [value for each in bench.series.values() for value in each.references_ms]
    assert bench.scale.nominal_ms == float(np.median(references))
