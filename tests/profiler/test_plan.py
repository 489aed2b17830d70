"""The plan: what is stored is skipped, in this environment and under this protocol only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from devices.environment import Environment
from devices.target import Target
from profiler.jobs import Job
from profiler.plan import Plan, make_plan
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.visit import Visit

TARGET = Target.make("cpu", "onnxruntime", {})
HERE = Environment.of({"chip": "A"})
PROTOCOL = Protocol()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        yield store


def job(key: str) -> Job:
    return Job(key, "op", nn.Identity, (4,))


def begin(store: MeasurementStore, key: str) -> int:
    return store.begin(key, "op", TARGET, HERE, PROTOCOL, None)


def finish(store: MeasurementStore, key: str) -> None:
    measurement_id = begin(store, key)
    store.finish(measurement_id, summarise([[1.0], [1.0]]))


def plan(store: MeasurementStore, *keys: str, retry_failed: bool = False) -> Plan:
    jobs = [job(key) for key in keys]
    return make_plan(jobs, store, TARGET, HERE, PROTOCOL, retry_failed=retry_failed)


def todo(plan: Plan) -> list[str]:
    return [job.key for job in plan.todo]


def test_an_empty_store_leaves_everything_to_do_in_order(store: MeasurementStore) -> None:
    made = plan(store, "c", "a", "b")
    assert todo(made) == ["c", "a", "b"]
    assert (made.stored, made.failed, made.planned) == ((), (), 3)


def test_what_is_stored_is_skipped(store: MeasurementStore) -> None:
    finish(store, "a")
    made = plan(store, "a", "b")
    assert todo(made) == ["b"]
    assert (made.stored, made.planned) == (("a",), 2)


def test_what_was_interrupted_is_to_do(store: MeasurementStore) -> None:
    store.add_visit(begin(store, "a"), 0, Visit((1.0,)))
    assert todo(plan(store, "a")) == ["a"]


def test_what_failed_is_tried_again_only_when_asked(store: MeasurementStore) -> None:
    store.fail(begin(store, "a"), "too large")
    made = plan(store, "a", "b")
    assert (todo(made), made.failed, made.planned) == (["b"], ("a",), 2)
    made = plan(store, "a", "b", retry_failed=True)
    assert (todo(made), made.failed, made.planned) == (["a", "b"], (), 2)


def test_what_comes_twice_counts_once(store: MeasurementStore) -> None:
    finish(store, "b")
    made = plan(store, "a", "b", "a", "b", "a")
    assert (todo(made), made.stored, made.planned) == (["a"], ("b",), 2)


def test_what_nobody_asked_for_is_not_in_the_plan(store: MeasurementStore) -> None:
    finish(store, "stored")
    store.fail(begin(store, "failed"), "x")
    made = plan(store, "a")
    assert (todo(made), made.stored, made.failed, made.planned) == (["a"], (), (), 1)


@pytest.mark.parametrize(
    ("target", "environment", "protocol"),
    [
        (Target.make("cpu", "onnxruntime", {"threads": 2}), HERE, PROTOCOL),
        (Target.make("cpu", "torch", {}), HERE, PROTOCOL),
        (TARGET, Environment.of({"chip": "B"}), PROTOCOL),
        (TARGET, HERE, Protocol(timed_runs=7)),
    ],
    ids=["threads", "runtime", "environment", "protocol"],
)
def test_a_measurement_of_anything_else_does_not_count(
    store: MeasurementStore, target: Target, environment: Environment, protocol: Protocol
) -> None:
    finish(store, "a")
    assert todo(make_plan([job("a")], store, target, environment, protocol)) == ["a"]
