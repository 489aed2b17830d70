"""Profiling with a device that answers from a script: what is stored, skipped and told."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
import torch
from torch import nn

import profiler.run
from devices.artifact import Artifact
from devices.base import Device, LoadedModel
from devices.environment import Environment
from devices.errors import (
    ArtifactError,
    DeviceError,
    InputError,
    LutierError,
    MeasurementError,
    MissingEntryError,
)
from devices.health import Counters
from devices.target import Target
from profiler.builders.export import GraphWriter, emit
from profiler.events import Event, Failed, Prepared, RoundEnded, Visited, Waiting
from profiler.jobs import Job
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.reference import reference_job
from profiler.run import ProfileResult, measure_now, profile
from profiler.storage.claims import Wanted, Worker
from profiler.storage.database import MeasurementStore

TARGET = Target.make("fake", "abacus", {})
PROTOCOL = Protocol(warmup_runs=1, timed_runs=2, min_rounds=3, max_rounds=3)
KEYS = ("a", "b", "c")
REFERENCE = reference_job().key


class FakeModel:
    def __init__(self, device: FakeDevice, key: str) -> None:
        self._device = device
        self._key = key

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        self._device.visited(self._key)
        trouble = self._device.trouble_at_visit.get(self._key)
        if trouble is not None:
            raise trouble
        return [self._device.time_ms(self._key) for _ in range(runs)]

    def close(self) -> None:
        self._device.open_models.discard(self._key)


class FakeDevice:
    """Every model takes 1 ms unless told otherwise."""

    name = "fake"
    runtimes = ("abacus",)

    def __init__(
        self,
        facts: Mapping[str, str] | None = None,
        latency_ms: Mapping[str, float] | None = None,
        trouble_at_load: Mapping[str, Exception] | None = None,
        trouble_at_visit: Mapping[str, BaseException] | None = None,
    ) -> None:
        self.facts = dict(facts or {"beads": "10"})
        self.latency_ms = dict(latency_ms or {})
        self.trouble_at_load = dict(trouble_at_load or {})
        self.trouble_at_visit = dict(trouble_at_visit or {})
        self.visits: list[str] = []
        self.references = 0
        self.loaded: list[Artifact] = []
        self.open_models: set[str] = set()
        self.most_open = 0

    def visited(self, key: str) -> None:
        """Note what is timed; the reference, which stands beside the jobs, apart from them."""
        if key == REFERENCE:
            self.references += 1
        else:
            self.visits.append(key)

    def time_ms(self, key: str) -> float:
        return self.latency_ms.get(key, 1.0)

    def artifact_format(self, runtime: str) -> str:
        return "onnx"

    def environment(self, target: Target) -> Environment:
        return Environment.of(self.facts)

    def load(self, artifact: Artifact, target: Target) -> LoadedModel:
        assert artifact.path.exists()
        if artifact.key in self.trouble_at_load:
            raise self.trouble_at_load[artifact.key]
        if artifact.key != REFERENCE:
            self.loaded.append(artifact)
        self.open_models.add(artifact.key)
        self.most_open = max(self.most_open, len(self.open_models - {REFERENCE}))
        return FakeModel(self, artifact.key)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def jobs(*keys: str) -> list[Job]:
    return [Job(key, "op", lambda: nn.Linear(2, 2), (2,)) for key in keys or KEYS]


class Bench:
    """A store, and what profiling into it told."""

    def __init__(self, path: Path) -> None:
        self.store = MeasurementStore(f"sqlite:///{path / 'lutier.db'}")
        self.events: list[Event] = []

    def run(
        self,
        device: FakeDevice,
        wanted: Sequence[Job] | None = None,
        *,
        protocol: Protocol = PROTOCOL,
        seed: int = 0,
        retry_failed: bool = False,
        on_event: Callable[[Event], None] | None = None,
    ) -> ProfileResult:
        self.events.clear()
        return profile(
            jobs() if wanted is None else wanted,
            device,
            TARGET,
            self.store,
            protocol,
            seed=seed,
            retry_failed=retry_failed,
            on_event=on_event or self.events.append,
        )

    def stored(self, key: str, device: FakeDevice) -> list[list[float]]:
        """The stored visits of a key."""
        environment = device.environment(TARGET)
        measurement_id = self.store.begin(key, "op", TARGET, environment, PROTOCOL, None)
        return [list(visit.samples_ms) for visit in self.store.visits(measurement_id)]

    def rows(self, device: FakeDevice) -> dict[str, dict[str, Any]]:
        """Finished measurements by key."""
        found = self.store.measurements(TARGET, device.environment(TARGET).id)
        return {row["key"]: row for row in found}

    def references(self, key: str, device: FakeDevice) -> list[tuple[float, ...]]:
        """The reference beside each stored visit of a key."""
        environment = device.environment(TARGET)
        measurement_id = self.store.begin(key, "op", TARGET, environment, PROTOCOL, None)
        return [visit.reference_ms for visit in self.store.visits(measurement_id)]

    def statuses(self, device: FakeDevice) -> dict[str, str]:
        return self.store.statuses(TARGET, device.environment(TARGET), PROTOCOL)

    def told(self, kind: type[Visited] | type[Failed]) -> list[str]:
        """Keys of the events of a kind."""
        return [event.key for event in self.events if isinstance(event, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_fake_is_a_device() -> None:
    assert isinstance(FakeDevice(), Device)


def test_everything_is_measured_and_stored(bench: Bench) -> None:
    device = FakeDevice(latency_ms={"a": 1.0, "b": 2.0, "c": 3.0})
    result = bench.run(device)
    assert {key: summary.median_ms for key, summary in result.measured.items()} == {
        "a": 1.0,
        "b": 2.0,
        "c": 3.0,
    }
    rows = {row["key"]: row for row in bench.store.measurements(TARGET, result.environment.id)}
    assert {key: row["median_ms"] for key, row in rows.items()} == device.latency_ms
    shas = {artifact.key: artifact.sha256 for artifact in device.loaded}
    assert {key: row["artifact_sha256"] for key, row in rows.items()} == shas
    assert bench.stored("b", device) == [[2.0, 2.0]] * 3


def test_the_result_counts_what_was_done(bench: Bench) -> None:
    bench.run(FakeDevice(), jobs("a"))
    device = FakeDevice(trouble_at_load={"c": ArtifactError("c is broken")})
    result = bench.run(device, jobs("a", "b", "c", "b"))
    assert result.target == TARGET
    assert result.environment == Environment.of(device.facts)
    assert (result.planned, result.stored_before) == (3, 1)
    assert set(result.measured) == {"b"}
    assert result.failed == {"c": "c is broken"}
    assert result.split_half_error == 0.0


def test_the_split_half_error_is_that_of_what_was_measured_now(bench: Bench) -> None:
    device = FakeDevice()
    steps = iter([1.0, 3.0, 1.0])

    def change(event: Event) -> None:
        device.latency_ms["a"] = next(steps, 1.0)

    device.latency_ms["a"] = next(steps)
    result = bench.run(
        device, jobs("a"), on_event=lambda e: change(e) if isinstance(e, Visited) else None
    )
    assert result.measured["a"].split_half == pytest.approx(1.0)
    assert result.split_half_error == pytest.approx(1.0)


def test_a_second_run_measures_nothing(bench: Bench) -> None:
    bench.run(FakeDevice())
    device = FakeDevice()
    result = bench.run(device)
    assert (device.loaded, device.visits, bench.events, device.references) == ([], [], [], 0)
    assert (result.planned, result.stored_before) == (3, 3)
    assert (result.measured, result.failed) == ({}, {})
    assert math.isnan(result.split_half_error)


def test_nothing_asked_for_is_nothing_done(bench: Bench) -> None:
    result = bench.run(FakeDevice(), [])
    assert (result.planned, result.stored_before, result.measured) == (0, 0, {})


class Stop:
    """A listener that presses Ctrl-C at the nth event."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, event: Event) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", range(15))
def test_an_interrupted_run_loses_nothing_and_repeats_nothing(bench: Bench, after: int) -> None:
    # Three models: three events of preparing, then nine visits with the end of a round after each
    # third, fifteen in all.
    device = FakeDevice()
    with pytest.raises(KeyboardInterrupt):
        bench.run(device, on_event=Stop(after))
    assert device.open_models == set()
    before = {key: bench.stored(key, device) for key in KEYS}
    assert sum(map(len, before.values())) == len(device.visits)
    again = FakeDevice(latency_ms=dict.fromkeys(KEYS, 7.0))
    result = bench.run(again)
    assert set(result.measured) == set(KEYS)
    for key in KEYS:
        visits = bench.stored(key, device)
        assert visits[: len(before[key])] == before[key]
        assert len(visits) == 3
    assert len(device.visits) + len(again.visits) == 9
    assert bench.run(FakeDevice()).measured == {}


def test_a_device_that_goes_away_loses_nothing(bench: Bench) -> None:
    device = FakeDevice()
    gone = DeviceError("the device went away")

    def unplug(event: Event) -> None:
        if isinstance(event, RoundEnded) and event.round == 2:
            device.trouble_at_visit = dict.fromkeys(KEYS, gone)

    with pytest.raises(DeviceError, match="went away"):
        bench.run(device, on_event=unplug)
    assert [len(bench.stored(key, device)) for key in KEYS] == [2, 2, 2]
    assert set(bench.statuses(device).values()) == {"measuring"}
    assert device.open_models == set()


@pytest.mark.parametrize(
    "trouble",
    [
        ArtifactError("b is truncated"),
        MeasurementError("b crashed", "signal 11"),
        MissingEntryError("b was not recorded"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_what_cannot_be_loaded_becomes_a_row_and_the_rest_goes_on(
    bench: Bench, trouble: LutierError
) -> None:
    device = FakeDevice(trouble_at_load={"b": trouble})
    result = bench.run(device)
    assert set(result.measured) == {"a", "c"}
    assert result.failed == {"b": str(trouble)}
    assert bench.statuses(device) == {"a": "done", "b": "failed", "c": "done"}
    assert bench.store.failures(TARGET, result.environment.id) == {"b": str(trouble)}
    assert bench.told(Failed) == ["b"]


def test_what_cannot_be_run_becomes_a_row_and_the_rest_goes_on(bench: Bench) -> None:
    device = FakeDevice(trouble_at_visit={"b": MeasurementError("b crashed")})
    result = bench.run(device)
    assert set(result.measured) == {"a", "c"}
    assert result.failed == {"b": "b crashed"}
    assert bench.statuses(device) == {"a": "done", "b": "failed", "c": "done"}
    assert len(device.visits) == 3 + 1 + 3


def test_a_failure_is_kept_reported_and_not_tried_again(bench: Bench) -> None:
    bench.run(FakeDevice(trouble_at_load={"b": ArtifactError("b is truncated")}))
    device = FakeDevice()
    result = bench.run(device)
    assert device.loaded == []
    assert (result.planned, result.stored_before) == (3, 2)
    assert result.failed == {"b": "b is truncated"}


def test_a_failure_is_tried_again_when_asked(bench: Bench) -> None:
    bench.run(FakeDevice(trouble_at_load={"b": ArtifactError("b is truncated")}))
    device = FakeDevice()
    result = bench.run(device, retry_failed=True)
    assert [artifact.key for artifact in device.loaded] == ["b"]
    assert (set(result.measured), result.failed) == ({"b"}, {})
    assert bench.store.failures(TARGET, result.environment.id) == {}


def test_what_others_measured_meanwhile_is_named(bench: Bench) -> None:
    device = FakeDevice()
    environment = device.environment(TARGET)
    other = Worker("other", "far", "elsewhere/1/1", TARGET, environment, PROTOCOL)
    book = bench.store.claim_book(other, 60.0)
    book.sign_on()
    ids = book.take([Wanted("a", "op"), Wanted("b", "op")], lambda free, workers: free).ids

    def end(event: Event) -> None:
        if isinstance(event, Waiting):
            assert bench.store.finish(ids["a"], summarise([[1.0], [1.0]]), worker="other")
            assert bench.store.fail(ids["b"], "b is broken", worker="other")

    result = bench.run(device, on_event=end)
    assert set(result.measured) == {"c"}
    assert result.elsewhere == ("a",)
    assert result.failed == {"b": "b is broken"}
    assert set(device.visits) == {"c"}


def test_where_everything_fails_the_run_still_ends(bench: Bench) -> None:
    broken = {key: ArtifactError(f"{key} is broken") for key in KEYS}
    result = bench.run(FakeDevice(trouble_at_load=broken))
    assert (set(result.failed), result.measured) == (set(KEYS), {})


def test_two_environments_do_not_mix(bench: Bench) -> None:
    old = FakeDevice({"governor": "powersave"}, latency_ms=dict.fromkeys(KEYS, 9.0))
    new = FakeDevice({"governor": "performance"})
    bench.run(old)
    result = bench.run(new)
    assert (result.stored_before, len(result.measured)) == (0, 3)
    for device, latency_ms in ((old, 9.0), (new, 1.0)):
        rows = bench.store.measurements(TARGET, device.environment(TARGET).id)
        assert [row["median_ms"] for row in rows] == [latency_ms] * 3


def test_half_measured_in_another_environment_begins_anew(bench: Bench) -> None:
    old, new = FakeDevice({"governor": "powersave"}), FakeDevice({"governor": "performance"})
    with pytest.raises(KeyboardInterrupt):
        bench.run(old, on_event=Stop(8))
    bench.run(new)
    assert len(new.visits) == 9


def test_the_order_follows_from_the_seed(tmp_path: Path) -> None:
    visits = []
    for i, seed in enumerate((1, 1, 2)):
        (tmp_path / str(i)).mkdir()
        device = FakeDevice()
        Bench(tmp_path / str(i)).run(device, jobs(*"abcdefgh"), seed=seed)
        visits.append(device.visits)
    assert visits[0] == visits[1]
    assert visits[0] != visits[2]


def test_ops_and_networks_share_the_rounds(bench: Bench) -> None:
    networks = [Job(f"net{i}", "network", lambda: nn.Linear(2, 2), (2,)) for i in range(3)]
    device = FakeDevice()
    result = bench.run(device, [*jobs(), *networks])
    for start in (0, 6, 12):
        assert sorted(device.visits[start : start + 6]) == ["a", "b", "c", "net0", "net1", "net2"]
    rows = bench.store.measurements(TARGET, result.environment.id)
    assert {row["key"]: row["role"] for row in rows} == {
        **dict.fromkeys("abc", "op"),
        **{f"net{i}": "network" for i in range(3)},
    }


def test_more_models_than_can_be_held_are_measured_in_groups(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiler.run, "MAX_LOADED", 3)
    device = FakeDevice()
    result = bench.run(device, jobs(*"abcdefgh"))
    assert device.most_open == 3
    assert device.open_models == set()
    assert set(result.measured) == set("abcdefgh")
    assert len(device.visits) == 24


def test_progress_is_told_from_first_to_last(bench: Bench) -> None:
    bench.run(FakeDevice())
    prepared = [event for event in bench.events if isinstance(event, Prepared)]
    assert [(event.count, event.total) for event in prepared] == [(1, 3), (2, 3), (3, 3)]
    assert sorted(event.key for event in prepared) == list(KEYS)
    assert sorted(bench.told(Visited)) == sorted(KEYS * 3)
    ended = [event for event in bench.events if isinstance(event, RoundEnded)]
    assert [(event.round, event.models) for event in ended] == [(1, 3), (2, 3), (3, 3)]
    assert bench.events[-1] == ended[-1]


def test_model_files_are_gone_afterwards(bench: Bench) -> None:
    device = FakeDevice()
    bench.run(device)
    assert [artifact.path for artifact in device.loaded if artifact.path.exists()] == []


def test_a_target_the_device_refuses_ends_the_run(bench: Bench) -> None:
    broken = {key: InputError("threads=99", "this machine has 2 cores") for key in KEYS}
    with pytest.raises(InputError, match="threads=99"):
        bench.run(FakeDevice(trouble_at_load=broken))


# The reference


def test_the_reference_is_timed_beside_every_visit_and_is_no_row(bench: Bench) -> None:
    device = FakeDevice(latency_ms={REFERENCE: 0.25})
    result = bench.run(device)
    assert set(result.measured) == set(bench.statuses(device)) == set(KEYS)
    assert {key: bench.references(key, device) for key in KEYS} == {
        key: [(0.25, 0.25)] * 3 for key in KEYS
    }
    assert {row["nominal_ms"] for row in bench.rows(device).values()} == {0.25}
    assert device.references == 3 * 4
    assert device.open_models == set()


@pytest.mark.parametrize(
    "trouble",
    [ArtifactError("no"), MeasurementError("no"), MissingEntryError("not recorded")],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_device_that_refuses_the_reference_is_measured_as_it_is(
    bench: Bench, trouble: LutierError
) -> None:
    device = FakeDevice(trouble_at_load={REFERENCE: trouble})
    result = bench.run(device)
    assert (set(result.measured), result.failed) == (set(KEYS), {})
    assert set(bench.statuses(device)) == set(KEYS)
    assert bench.references("a", device) == [()] * 3
    rows = bench.rows(device).values()
    assert {(row["exponent"], row["nominal_ms"]) for row in rows} == {(0.0, None)}


class DriftingDevice(FakeDevice):
    """A machine that is slower and faster by 40 %, around ``slowness`` times its usual latency."""

    def __init__(self, slowness: float = 1.0) -> None:
        super().__init__(latency_ms={"a": 1.0, "b": 2.0, "c": 3.0, REFERENCE: 0.5})
        self._slowness = slowness
        self._steps = itertools.count()

    def time_ms(self, key: str) -> float:
        wave = 1 + 0.4 * math.sin(next(self._steps) / 50)
        return self._slowness * wave * super().time_ms(key)


LONG = Protocol(warmup_runs=1, timed_runs=2, min_rounds=24, max_rounds=24)


def test_latencies_of_a_later_run_are_those_at_the_speed_of_the_first(bench: Bench) -> None:
    usual, slow = DriftingDevice(), DriftingDevice(slowness=1.5)
    first = bench.run(usual, jobs("a", "b"), protocol=LONG).measured
    later = bench.run(slow, jobs("c"), protocol=LONG).measured
    assert {summary.exponent for summary in (*first.values(), *later.values())} == {1.0}
    (nominal_ms,) = {summary.nominal_ms for summary in (*first.values(), *later.values())}
    assert nominal_ms is not None
    assert nominal_ms == bench.rows(usual)["c"]["nominal_ms"]
    # All three are as much slower than usual as the reference.
    speed = first["a"].median_ms / 1.0
    assert speed == pytest.approx(nominal_ms / 0.5, rel=0.02)
    assert first["b"].median_ms == pytest.approx(2.0 * speed, rel=0.02)
    assert later["c"].median_ms == pytest.approx(3.0 * speed, rel=0.02)


# What a network is made of


def test_the_ops_of_a_carrier_are_stored_with_it(bench: Bench) -> None:
    carrier = Job("net", "carrier", lambda: nn.Linear(2, 2), (2,), ops=("a", "b", "a"))
    device = FakeDevice()
    bench.run(device, [*jobs("a"), carrier, Job.of_call()])
    assert {key: (row["role"], row["ops"]) for key, row in bench.rows(device).items()} == {
        "a": ("op", None),
        "net": ("carrier", "a b a"),
        "call": ("call", None),
    }


# What the rules find


class NoisyDevice(FakeDevice):
    """Every run takes longer by chance, and the machine tells what else happened on it.

    Args:
        noise: relative.
        totals: what :meth:`counters` answers, one by one; ``None`` where it does not tell.
    """

    def __init__(self, noise: float, totals: Sequence[Counters | None] = (None, None)) -> None:
        super().__init__()
        self._noise = noise
        self._random = Random(0)
        self._totals = iter(totals)

    def time_ms(self, key: str) -> float:
        noise = 0.0 if key == REFERENCE else self._noise
        return self._random.lognormvariate(0.0, noise)

    def counters(self) -> Counters | None:
        return next(self._totals)


def found(bench: Bench, device: FakeDevice, protocol: Protocol = LONG) -> str:
    """What is stored of the findings of one op, which are also those of the result."""
    summary = bench.run(device, jobs("a"), protocol=protocol).measured["a"]
    findings = bench.rows(device)["a"]["findings"]
    assert findings == summary.to_columns()["findings"]
    return str(findings)


def test_a_quiet_measurement_is_found_sound(bench: Bench) -> None:
    assert found(bench, NoisyDevice(0.005)) == "sound"


def test_a_measurement_of_few_visits_is_found_to_be_one(bench: Bench) -> None:
    assert found(bench, NoisyDevice(0.005), PROTOCOL) == "few"


def test_a_noisy_measurement_is_found_to_be_one(bench: Bench) -> None:
    assert "noisy" in found(bench, NoisyDevice(0.3)).split()


@pytest.mark.parametrize(
    ("later", "findings"),
    [
        (Counters(10.0, 5.0, 5.0, 0), "sound"),
        (Counters(10.0, 15.0, 5.0, 0), "busy"),
        (Counters(10.0, 5.0, 5.0, 3), "throttled"),
        (None, "sound"),
    ],
    ids=["quiet", "busy", "hot", "silent"],
)
def test_what_else_happened_on_the_machine_is_found(
    bench: Bench, later: Counters | None, findings: str
) -> None:
    device = NoisyDevice(0.005, [Counters(0.0, 0.0, 0.0, 0), later])
    assert found(bench, device) == findings


# Measuring now


def now(device: FakeDevice, *keys: str) -> dict[str, float]:
    """Latency of each key, measured now."""
    measured = measure_now(jobs(*keys), device, TARGET, PROTOCOL)
    return {key: each.summary.median_ms for key, each in measured.items()}


RENEWED = dataclasses.replace(PROTOCOL, renewal=1e-9)
"""So little worth that every visit but the first has a load of its own."""


def test_a_protocol_that_renews_loads_models_anew(bench: Bench) -> None:
    device = FakeDevice()
    result = bench.run(device, protocol=RENEWED)
    assert set(result.measured) == set(KEYS)
    loads = [artifact.key for artifact in device.loaded]
    assert {key: loads.count(key) for key in KEYS} == dict.fromkeys(KEYS, PROTOCOL.min_rounds)
    assert device.open_models == set()


def test_a_model_that_cannot_be_loaded_again_becomes_a_row(bench: Bench) -> None:
    device = FakeDevice()

    def break_b(event: Event) -> None:
        if isinstance(event, Visited) and event.key == "b":
            device.trouble_at_load["b"] = ArtifactError("b is truncated")

    result = bench.run(device, protocol=RENEWED, on_event=break_b)
    assert set(result.measured) == {"a", "c"}
    assert "b is truncated" in result.failed["b"]


def test_measuring_now_loads_models_anew_too() -> None:
    device = FakeDevice()
    measure_now(jobs("a"), device, TARGET, RENEWED)
    assert len(device.loaded) == PROTOCOL.min_rounds


def test_measuring_now_gives_every_summary_and_the_file_it_is_of() -> None:
    device = FakeDevice(latency_ms={"a": 1.0, "b": 2.0})
    measured = measure_now(jobs("a", "b"), device, TARGET, PROTOCOL)
    shas = {artifact.key: artifact.sha256 for artifact in device.loaded}
    assert {key: each.artifact_sha256 for key, each in measured.items()} == shas
    assert {key: each.summary.median_ms for key, each in measured.items()} == device.latency_ms
    assert {each.summary.visits for each in measured.values()} == {PROTOCOL.min_rounds}
    assert device.open_models == set()


@pytest.mark.parametrize(
    "device",
    [
        FakeDevice(trouble_at_load={"b": ArtifactError("b is broken")}),
        FakeDevice(trouble_at_visit={"b": MeasurementError("b is broken")}),
    ],
    ids=["load", "visit"],
)
def test_measuring_now_refuses_where_one_cannot_be_measured(device: FakeDevice) -> None:
    with pytest.raises(LutierError, match="b is broken"):
        now(device, "a", "b")
    assert device.open_models == set()


class Sine(nn.Module):
    """There is no sine of bytes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)


@emit.register
def _(module: Sine, graph: GraphWriter, x: str) -> str:
    return graph.node("Sin", x)


def test_an_op_that_cannot_be_quantised_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    target = Target.make("fake", "abacus", {"precision": "int8"})
    store = MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}")
    device = FakeDevice()
    wanted = [*jobs("a"), Job("sine", "op", Sine, (2,))]
    result = profile(wanted, device, target, store, PROTOCOL)
    assert set(result.measured) == {"a"}
    reason = "Sin cannot be quantised to int8: ONNX Runtime computes it in float"
    assert result.failed["sine"].startswith(reason)
    assert store.failures(target, result.environment.id) == result.failed
    assert [artifact.key for artifact in device.loaded] == ["a"]
    assert profile(wanted, device, target, store, PROTOCOL).planned == 2
    assert len(device.loaded) == 1
