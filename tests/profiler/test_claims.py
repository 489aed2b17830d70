"""Sharing: batches, waiting, handing over, and what is left when the store goes away."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Server
from torch import nn

from devices.environment import Environment
from devices.errors import DeviceError, MeasurementError, StoreError
from devices.target import Target
from profiler.claims import MIN_BATCH, Claims, batch_size
from profiler.events import Event, Waiting, ignore
from profiler.jobs import Job
from profiler.processes import this_process
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.claims import Wanted, Worker
from profiler.storage.database import MeasurementStore
from profiler.visit import Visit

TARGET = Target.make("fake", "abacus", {})
HERE = Environment.of({"beads": "10"})
PROTOCOL = Protocol()
SUMMARY = summarise([[1.0], [1.0]])
MOST = 256


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        yield store


def jobs(count: int) -> list[Job]:
    return [Job(f"op{i}", "op", lambda: nn.Linear(2, 2), (2,)) for i in range(count)]


def claims(store: MeasurementStore, seconds: float = 60.0) -> Claims:
    return Claims(store, TARGET, HERE, PROTOCOL, seconds=seconds)


def keys(batch: list[Job]) -> list[str]:
    return [job.key for job in batch]


class Model:
    """A model that counts how often it was visited."""

    def __init__(self) -> None:
        self.visits = 0
        self.closed = False

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        self.visits += 1
        return [1.0] * runs

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("free", "workers", "size"),
    [(100, 1, 100), (100, 2, 25), (100, 4, 13), (20, 4, MIN_BATCH), (3, 4, MIN_BATCH), (0, 1, 0)],
)
def test_alone_one_takes_all_among_others_half_a_share(free: int, workers: int, size: int) -> None:
    assert batch_size(free, workers) == size


def test_a_batch_is_no_larger_than_what_can_be_loaded(store: MeasurementStore) -> None:
    with claims(store) as mine:
        assert len(mine.take(jobs(10), 4, ignore)) == 4


def test_where_all_is_measured_there_is_nothing_to_take(store: MeasurementStore) -> None:
    with claims(store) as mine:
        for job in mine.take(jobs(2), MOST, ignore):
            assert mine.finish({job.key: SUMMARY}) == {job.key}
        assert mine.take(jobs(2), MOST, ignore) == []


def test_everything_is_let_go_at_the_end(store: MeasurementStore) -> None:
    with claims(store) as mine:
        mine.take(jobs(3), MOST, ignore)
    with claims(store) as next_one:
        assert keys(next_one.take(jobs(3), MOST, ignore)) == ["op0", "op1", "op2"]


def test_one_waits_for_others_and_says_so_once(store: MeasurementStore) -> None:
    other = Worker("other", "far", "elsewhere/1/1", TARGET, HERE, PROTOCOL)
    book = store.claim_book(other, 0.5)
    book.sign_on()
    book.take([Wanted("op0", "op"), Wanted("op1", "op")], lambda free, workers: free)
    events: list[Event] = []
    # On a machine that cannot be seen from here: only its silence says that it is dead.
    with claims(store, seconds=1.0) as mine:
        assert keys(mine.take(jobs(2), MOST, events.append)) == ["op0", "op1"]
    assert events == [Waiting(2, ("far",))]


def test_a_process_of_this_machine_that_is_dead_is_not_waited_for(store: MeasurementStore) -> None:
    place, number, start = this_process().split("/")
    if not start:
        pytest.skip("needs /proc: run it on Linux")
    dead = f"{place}/{number}/{int(start) + 1}"
    with claims(store) as mine:
        book = store.claim_book(Worker("other", "here", dead, TARGET, HERE, PROTOCOL), 600.0)
        book.sign_on()
        book.take([Wanted("op0", "op")], lambda free, workers: free)
        events: list[Event] = []
        assert keys(mine.take(jobs(1), MOST, events.append)) == ["op0"]
        assert events == []


def test_a_long_pause_between_visits_is_no_silence(store: MeasurementStore) -> None:
    with claims(store, seconds=0.4) as mine, claims(store) as other:
        mine.take(jobs(1), MOST, ignore)
        events: list[Event] = []

        def end(event: Event) -> None:
            # Told at once; three times the expiry later the first still holds it.
            events.append(event)
            time.sleep(1.2)
            assert mine.finish({"op0": SUMMARY}) == {"op0"}

        assert other.take(jobs(1), MOST, end) == []
        assert len(events) == 1


def test_a_part_is_handed_to_who_waits(store: MeasurementStore) -> None:
    wanted = jobs(4 * MIN_BATCH)
    with claims(store) as mine:
        mine.take(wanted, MOST, ignore)
        models = {job.key: mine.guard(job.key, Model()) for job in wanted}
        mine.share(models)
        assert all(mine.holds(key) for key in models)
        late = store.claim_book(Worker("l", "far", "elsewhere/1/1", TARGET, HERE, PROTOCOL), 60.0)
        late.sign_on()
        asked = [Wanted(job.key, job.role) for job in wanted]
        assert late.take(asked, lambda free, workers: free).ids == {}
        mine.share(models)
        got = late.take(asked, lambda free, workers: free).ids
        assert list(got) == keys(wanted)[2 * MIN_BATCH :]
        assert [key for key in models if mine.holds(key)] == keys(wanted)[: 2 * MIN_BATCH]
        # What was handed over is dropped from the rounds, and is no failure.
        with pytest.raises(MeasurementError, match="measured by another process"):
            models["op31"].time_ms(warmup=0, runs=1)
        assert models["op0"].time_ms(warmup=0, runs=1) == [1.0]
        assert not mine.fail("op31", "given away")
        assert store.failures(TARGET, HERE.id) == {}


def test_a_small_batch_is_not_cut_up(store: MeasurementStore) -> None:
    wanted = jobs(2 * MIN_BATCH - 1)
    with claims(store) as mine:
        mine.take(wanted, MOST, ignore)
        late = store.claim_book(Worker("l", "far", "elsewhere/1/1", TARGET, HERE, PROTOCOL), 60.0)
        late.sign_on()
        late.take([Wanted("op0", "op")], lambda free, workers: free)
        mine.share(keys(wanted))
        assert all(mine.holds(job.key) for job in wanted)


def test_a_guarded_model_is_closed_with_its_guard(store: MeasurementStore) -> None:
    model = Model()
    claims(store).guard("op0", model).close()
    assert model.closed


def test_a_store_that_is_gone_does_not_hide_why(postgres: Server) -> None:
    store = MeasurementStore(postgres.new_database(), reconnect_seconds=0)

    def measure() -> None:
        with claims(store) as mine:
            mine.take(jobs(1), MOST, ignore)
            postgres.stop()
            mine.add_visit("op0", 0, Visit((1.0,)))

    try:
        with pytest.raises(StoreError, match="what was stored is safe"):
            measure()
    finally:
        postgres.start()
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op0": "measuring"}
    store.close()


# One at a time on a device

PHONE = Target.make("android:R58M12ABCDE", "litert", {})
OTHER_PHONE = Target.make("android:R58M12ABCDF", "litert", {})


@pytest.fixture
def shared(store_url: str) -> Iterator[MeasurementStore]:
    with MeasurementStore(store_url) as store:
        yield store


def alone(store: MeasurementStore, target: Target = PHONE, protocol: Protocol = PROTOCOL) -> Claims:
    return Claims(store, target, HERE, protocol, seconds=60.0, alone=True)


@pytest.mark.parametrize(
    ("target", "protocol"),
    [
        (PHONE, PROTOCOL),
        (dataclasses.replace(PHONE, runtime="onnxruntime"), PROTOCOL),
        (dataclasses.replace(PHONE, threads=2), PROTOCOL),
        (PHONE, Protocol(timed_runs=9)),
    ],
    ids=["the same", "runtime", "threads", "protocol"],
)
def test_a_device_for_one_at_a_time_is_refused_while_another_measures_on_it(
    shared: MeasurementStore, target: Target, protocol: Protocol
) -> None:
    with (
        alone(shared),
        pytest.raises(DeviceError, match="is being measured by another process") as caught,
        alone(shared, target, protocol),
    ):
        pass
    assert caught.value.what.startswith(PHONE.device)
    assert socket.gethostname() in caught.value.why


def test_the_machine_that_measures_on_it_is_named(shared: MeasurementStore) -> None:
    far = Worker("other", "workshop", "elsewhere/1/1", PHONE, HERE, PROTOCOL)
    shared.claim_book(far, 60.0).sign_on(alone=True)
    with pytest.raises(DeviceError, match="on workshop; two at once"), alone(shared):
        pass


def test_what_the_other_holds_stays_its_own(shared: MeasurementStore) -> None:
    with alone(shared) as mine:
        mine.take(jobs(2), MOST, ignore)
        with pytest.raises(DeviceError), alone(shared):
            pass
        assert mine.finish({"op0": SUMMARY, "op1": SUMMARY}) == {"op0", "op1"}


def test_when_the_other_has_ended_the_device_is_free(shared: MeasurementStore) -> None:
    with alone(shared):
        pass
    with alone(shared) as mine:
        assert keys(mine.take(jobs(1), MOST, ignore)) == ["op0"]


def test_two_phones_are_measured_at_the_same_time(shared: MeasurementStore) -> None:
    with alone(shared) as one, alone(shared, OTHER_PHONE) as other:
        assert keys(one.take(jobs(1), MOST, ignore)) == ["op0"]
        assert keys(other.take(jobs(1), MOST, ignore)) == ["op0"]


def test_a_device_that_several_may_share_is_shared(shared: MeasurementStore) -> None:
    with claims(shared) as one, claims(shared) as other:
        assert keys(one.take(jobs(20), MIN_BATCH, ignore)) == [f"op{i}" for i in range(MIN_BATCH)]
        assert keys(other.take(jobs(20), 1, ignore)) == [f"op{MIN_BATCH}"]


def test_who_gave_no_sign_of_life_is_not_in_the_way(shared: MeasurementStore) -> None:
    silent = Worker("other", "far", "elsewhere/1/1", PHONE, HERE, PROTOCOL)
    shared.claim_book(silent, 0.01).sign_on(alone=True)
    time.sleep(0.05)
    with alone(shared) as mine:
        assert keys(mine.take(jobs(1), MOST, ignore)) == ["op0"]


def test_a_process_of_this_machine_that_was_killed_is_not_in_the_way(
    shared: MeasurementStore,
) -> None:
    code = "from profiler.processes import this_process; print(this_process())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    killed = Worker("other", "here", ended.stdout.strip(), PHONE, HERE, PROTOCOL)
    book = shared.claim_book(killed, 600.0)
    book.sign_on(alone=True)
    book.take([Wanted("op0", "op")], lambda free, workers: free)
    with alone(shared) as mine:
        assert keys(mine.take(jobs(1), MOST, ignore)) == ["op0"]
