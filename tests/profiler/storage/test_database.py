"""The store: what was returned from is kept, on every kind of database."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from devices.environment import Environment
from devices.errors import StoreError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import Summary, summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.schema import VisitRow
from profiler.visit import Visit

TARGET = Target.make("cpu", "onnxruntime", {})
HERE = Environment.of({"chip": "A", "cores": "2"})
PROTOCOL = Protocol()


@pytest.fixture
def store(store_url: str) -> Iterator[MeasurementStore]:
    with MeasurementStore(store_url) as store:
        yield store


def begin(
    store: MeasurementStore,
    key: str = "op",
    *,
    target: Target = TARGET,
    environment: Environment = HERE,
    protocol: Protocol = PROTOCOL,
    sha256: str | None = None,
) -> int:
    return store.begin(key, "op", target, environment, protocol, sha256)


def samples_ms(store: MeasurementStore, measurement_id: int) -> list[list[float]]:
    """The timed runs of each stored visit."""
    return [list(visit.samples_ms) for visit in store.visits(measurement_id)]


def done(store: MeasurementStore, key: str, value_ms: float = 1.0, target: Target = TARGET) -> None:
    measurement_id = begin(store, key, target=target)
    store.finish(measurement_id, summarise([[value_ms], [value_ms]]))


def test_visits_come_back_in_order(store: MeasurementStore) -> None:
    measurement_id = begin(store)
    assert samples_ms(store, measurement_id) == []
    for number, samples in enumerate([[1.5, 0.1], [2.0], [1 / 3, 1e-9]]):
        store.add_visit(measurement_id, number, Visit(tuple(samples)))
    assert samples_ms(store, measurement_id) == [
        [1.5, 0.1],
        [2.0],
        [1 / 3, 1e-9],
    ]


def test_a_visit_comes_back_with_the_reference_beside_it(store: MeasurementStore) -> None:
    measurement_id = begin(store)
    visits = [Visit((1.5, 0.1), (1 / 3, 0.25)), Visit((2.0,))]
    for number, visit in enumerate(visits):
        store.add_visit(measurement_id, number, visit)
    assert store.visits(measurement_id) == visits


def test_a_damaged_visit_is_a_store_error(store: MeasurementStore, store_url: str) -> None:
    measurement_id = begin(store)
    store.add_visit(measurement_id, 0, Visit((1.0,)))
    engine = sa.create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(sa.update(VisitRow).values(samples_ms=["fast"]))
    engine.dispose()
    with pytest.raises(StoreError, match="a visit in the store is damaged"):
        store.visits(measurement_id)


def test_what_was_begun_is_found_again(store: MeasurementStore) -> None:
    assert begin(store) == begin(store)
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op": "measuring"}


def test_anything_that_changes_a_latency_makes_another_measurement(store: MeasurementStore) -> None:
    ids = {
        begin(store),
        begin(store, "other op"),
        begin(store, target=Target.make("cpu", "onnxruntime", {"threads": 2})),
        begin(store, environment=Environment.of({"chip": "B"})),
        begin(store, protocol=Protocol(timed_runs=9)),
    }
    assert len(ids) == 5


def test_a_finished_measurement_has_every_figure(store: MeasurementStore) -> None:
    summary = Summary(2.0, 1.5, 2.5, 0.1, 0.01, visits=12, runs=60)
    store.finish(begin(store, sha256="ab" * 32), summary)
    (row,) = store.measurements(TARGET, HERE.id)
    assert {name: row[name] for name in summary.__dict__} == summary.__dict__
    assert (row["key"], row["role"], row["status"]) == ("op", "op", "done")
    assert (row["target"], row["environment_id"]) == (str(TARGET), HERE.id)
    assert (row["protocol_id"], row["artifact_sha256"]) == (PROTOCOL.id, "ab" * 32)
    assert row["failure"] is None
    assert row["started_at"] <= row["finished_at"]


@pytest.mark.parametrize(
    ("findings", "stored"),
    [(None, None), ((), "sound"), (("few",), "few"), (("few", "noisy"), "few noisy")],
)
def test_what_the_rules_found_is_stored_as_words(
    store: MeasurementStore, findings: tuple[str, ...] | None, stored: str | None
) -> None:
    summary = replace(summarise([[2.0], [2.0]]), exponent=1.25, nominal_ms=0.5, findings=findings)
    store.finish(begin(store), summary)
    (row,) = store.measurements(TARGET, HERE.id)
    assert (row["exponent"], row["nominal_ms"], row["findings"]) == (1.25, 0.5, stored)


def test_the_ops_of_a_carrier_are_kept(store: MeasurementStore) -> None:
    for ops in (("a", "b", "a"), ()):
        measurement_id = store.begin("net", "carrier", TARGET, HERE, PROTOCOL, None, ops)
    store.finish(measurement_id, summarise([[1.0]]))
    (row,) = store.measurements(TARGET, HERE.id)
    assert (row["role"], row["ops"]) == ("carrier", "a b a")


def test_the_nominal_speed_is_that_of_the_first_measurement(store: MeasurementStore) -> None:
    def nominal_ms(protocol: Protocol = PROTOCOL) -> float | None:
        return store.nominal_ms(TARGET, HERE, protocol)

    done(store, "without a reference")
    assert nominal_ms() is None
    ids = {key: begin(store, key) for key in "ab"}
    other = begin(store, "a", protocol=Protocol(timed_runs=9))
    for measurement_id, value in ((other, 9.0), (ids["b"], 0.5), (ids["a"], 0.25)):
        store.finish(measurement_id, replace(summarise([[1.0]]), nominal_ms=value))
    assert nominal_ms() == 0.5
    assert nominal_ms(Protocol(timed_runs=9)) == 9.0
    assert store.nominal_ms(TARGET, Environment.of({"chip": "B"}), PROTOCOL) is None


def test_only_finished_measurements_are_in_the_table(store: MeasurementStore) -> None:
    done(store, "finished")
    store.add_visit(begin(store, "half way"), 0, Visit((1.0,)))
    store.fail(begin(store, "failed"), "too large")
    assert [row["key"] for row in store.measurements(TARGET, HERE.id)] == ["finished"]
    assert store.targets() == {str(TARGET): 1}


def test_a_failure_is_a_row_with_its_reason(store: MeasurementStore) -> None:
    store.fail(begin(store), "the runtime has no such operator")
    assert store.failures(TARGET, HERE.id) == {"op": "the runtime has no such operator"}
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op": "failed"}


def test_the_text_of_a_failure_is_cut(store: MeasurementStore) -> None:
    store.fail(begin(store), "x" * 10_000)
    (reason,) = store.failures(TARGET, HERE.id).values()
    assert reason == "x" * 2000


def test_a_failed_measurement_is_opened_again(store: MeasurementStore) -> None:
    measurement_id = begin(store, sha256="0" * 64)
    store.fail(measurement_id, "too large")
    assert begin(store, sha256="1" * 64) == measurement_id
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op": "measuring"}
    assert store.failures(TARGET, HERE.id) == {}
    store.finish(measurement_id, summarise([[1.0], [1.0]]))
    (row,) = store.measurements(TARGET, HERE.id)
    assert row["artifact_sha256"] == "1" * 64


def test_all_samples_are_those_of_finished_measurements_in_order(store: MeasurementStore) -> None:
    for key, finished in (("b", True), ("a", True), ("half way", False)):
        measurement_id = begin(store, key)
        store.add_visit(measurement_id, 1, Visit((3.0,)))
        store.add_visit(measurement_id, 0, Visit((1.0, 2.0)))
        if finished:
            store.finish(measurement_id, summarise([[1.0, 2.0], [3.0]]))
    assert store.all_samples_ms(TARGET, HERE.id) == {
        "b": [1.0, 2.0, 3.0],
        "a": [1.0, 2.0, 3.0],
    }


def test_the_environment_measured_last_comes_last(store: MeasurementStore) -> None:
    one, other = Environment.of({"chip": "A"}), Environment.of({"chip": "B"})
    measurement_id = begin(store, environment=one)
    store.finish(begin(store, environment=other), summarise([[1.0]]))
    begin(store, environment=HERE)
    assert store.environments(TARGET) == [other]
    store.finish(measurement_id, summarise([[1.0]]))
    assert store.environments(TARGET) == [other, one]
    assert store.environments(Target.make("cpu", "torch", {})) == []


def test_targets_are_counted(store: MeasurementStore) -> None:
    two = Target.make("cpu", "onnxruntime", {"threads": 2})
    done(store, "a")
    done(store, "b")
    done(store, "a", target=two)
    assert store.targets() == {str(TARGET): 2, str(two): 1}


@given(
    st.text(max_size=30),
    st.lists(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=3), max_size=4),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_any_key_samples_and_facts_come_back_as_they_were(
    key: str, visits: list[list[float]], facts: dict[str, str]
) -> None:
    environment = Environment.of(facts)
    key = key.encode(errors="replace").decode()
    with MeasurementStore("sqlite://") as store:
        measurement_id = begin(store, key, environment=environment)
        for number, samples in enumerate(visits):
            store.add_visit(measurement_id, number, Visit(tuple(samples)))
        store.finish(measurement_id, summarise([[1.0]]))
        assert samples_ms(store, measurement_id) == visits
        assert store.statuses(TARGET, environment, PROTOCOL) == {key: "done"}
        assert store.environments(TARGET) == [environment]


def test_a_visit_that_is_there_is_not_overwritten(store: MeasurementStore) -> None:
    measurement_id = begin(store)
    store.add_visit(measurement_id, 0, Visit((1.0,)))
    with pytest.raises(StoreError, match="refused a row"):
        store.add_visit(measurement_id, 0, Visit((2.0,)))
    assert samples_ms(store, measurement_id) == [[1.0]]


def test_a_visit_of_nothing_is_refused(store: MeasurementStore) -> None:
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        store.add_visit(99, 0, Visit((1.0,)))


WORKER = """
import json, sys
from devices.environment import Environment
from devices.errors import LutierError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.visit import Visit
name, urls = sys.argv[1], sys.argv[2:]
print("ready", flush=True)
sys.stdin.readline()
for url in urls:
    with MeasurementStore(url) as store:
        for key in ("one", "two"):
            id = store.begin(f"{name} {key}", "op", Target.parse("cpu/onnxruntime"),
                             Environment.of({"chip": "A", "cores": "2"}), Protocol(), None)
            for number in range(10):
                store.add_visit(id, number, Visit((1.0, 2.0)))
            store.finish(id, summarise([[1.0]] * 10))
"""


def at_once(urls: list[str]) -> None:
    """Run three processes that begin at the same moment, each over all stores."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, name, *urls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second", "third")
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def test_processes_can_make_and_use_one_store_at_once(new_url: Callable[[], str]) -> None:
    urls = [new_url() for _ in range(8)]
    at_once(urls)
    for url in urls:
        with MeasurementStore(url) as store:
            assert len(store.measurements(TARGET, HERE.id)) == 6
            samples = store.all_samples_ms(TARGET, HERE.id)
        assert {json.dumps(values) for values in samples.values()} == {json.dumps([1.0, 2.0] * 10)}


def test_a_reader_sees_what_a_writer_has_returned_from(
    store: MeasurementStore, store_url: str
) -> None:
    measurement_id = begin(store)
    with MeasurementStore(store_url) as reader:
        for number in range(3):
            store.add_visit(measurement_id, number, Visit((float(number),)))
            assert len(reader.visits(measurement_id)) == number + 1


def test_what_was_stored_is_there_when_opened_again(store_url: str) -> None:
    with MeasurementStore(store_url) as store:
        done(store, "a", 1.25)
    with MeasurementStore(store_url) as store:
        assert [row["median_ms"] for row in store.measurements(TARGET, HERE.id)] == [1.25]


def test_the_model_file_is_noted_when_it_is_known(store: MeasurementStore) -> None:
    measurement_id = begin(store)
    assert begin(store, sha256="2" * 64) == measurement_id
    store.finish(measurement_id, summarise([[1.0], [1.0]]))
    (row,) = store.measurements(TARGET, HERE.id)
    assert row["artifact_sha256"] == "2" * 64


def test_a_database_in_memory_is_private(store: MeasurementStore) -> None:
    assert not store.is_private
    with MeasurementStore("sqlite://") as store:
        assert store.is_private
