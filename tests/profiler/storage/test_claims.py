"""Claims: a measurement is one worker's at a time, until it lets go or is dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from devices.environment import Environment
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.claims import ClaimBook, Wanted, Worker
from profiler.storage.database import MeasurementStore
from profiler.visit import Visit

TARGET = Target.make("cpu", "onnxruntime", {})
HERE = Environment.of({"chip": "A"})
PROTOCOL = Protocol()
SUMMARY = summarise([[1.0], [1.0]])
LONG_S = 600.0


@pytest.fixture
def store(store_url: str) -> Iterator[MeasurementStore]:
    with MeasurementStore(store_url) as store:
        yield store


def join(
    store: MeasurementStore,
    name: str,
    *,
    seconds: float = LONG_S,
    target: Target = TARGET,
    protocol: Protocol = PROTOCOL,
) -> ClaimBook:
    """A worker that has signed on."""
    worker = Worker(name, f"host of {name}", f"process of {name}", target, HERE, protocol)
    book = store.claim_book(worker, seconds)
    book.sign_on()
    return book


def samples_ms(store: MeasurementStore, measurement_id: int) -> list[list[float]]:
    """The timed runs of each stored visit."""
    return [list(visit.samples_ms) for visit in store.visits(measurement_id)]


def wanted(keys: str) -> list[Wanted]:
    return [Wanted(key, "op") for key in keys]


def everything(free: int, workers: int) -> int:
    return free


def of(count: int) -> Callable[[int, int], int]:
    return lambda free, workers: count


def expire(book: ClaimBook) -> None:
    """Let a worker that was given a hundredth of a second give no sign of life."""
    book.renew()
    time.sleep(0.05)


def test_what_one_has_taken_the_other_does_not_get(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    assert list(one.take(wanted("abc"), of(2)).ids) == ["a", "b"]
    taken = other.take(wanted("abc"), everything)
    assert list(taken.ids) == ["c"]
    assert (taken.held, taken.hosts) == (("a", "b"), ("host of one",))
    assert store.statuses(TARGET, HERE, PROTOCOL) == dict.fromkeys("abc", "measuring")


def test_the_order_is_that_which_was_asked_for(store: MeasurementStore) -> None:
    book = join(store, "one")
    assert list(book.take(wanted("cab"), of(2)).ids) == ["c", "a"]


def test_the_size_is_told_what_is_free_and_how_many_share(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    join(store, "of another target", target=Target.make("cpu", "torch", {}))
    join(store, "of another protocol", protocol=Protocol(timed_runs=9))
    one.take(wanted("ab"), everything)
    told: list[tuple[int, int]] = []

    def ask(free: int, workers: int) -> int:
        told.append((free, workers))
        return free

    other.take(wanted("abcde"), ask)
    assert told == [(3, 2)]


def test_another_target_or_protocol_is_no_rival(store: MeasurementStore) -> None:
    join(store, "one").take(wanted("a"), everything)
    for book in (
        join(store, "two", target=Target.make("cpu", "torch", {})),
        join(store, "three", protocol=Protocol(timed_runs=9)),
    ):
        assert list(book.take(wanted("a"), everything).ids) == ["a"]


def test_what_is_finished_is_nobodys_and_is_not_taken(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    ids = one.take(wanted("ab"), everything).ids
    assert store.finish(ids["a"], SUMMARY, worker="one")
    assert store.fail(ids["b"], "broken", worker="one")
    taken = other.take(wanted("ab"), everything)
    assert (taken.ids, taken.held) == ({}, ())
    assert list(other.take(wanted("ab"), everything, retry_failed=True).ids) == ["b"]


def test_only_who_holds_a_measurement_writes_it(store: MeasurementStore) -> None:
    one = join(store, "one")
    join(store, "other")
    measurement_id = one.take(wanted("a"), everything).ids["a"]
    assert store.add_visit(measurement_id, 0, Visit((1.0,)), worker="one")
    assert not store.add_visit(measurement_id, 1, Visit((9.0,)), worker="other")
    assert not store.finish(measurement_id, SUMMARY, worker="other")
    assert not store.fail(measurement_id, "broken", worker="other")
    assert samples_ms(store, measurement_id) == [[1.0]]
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"a": "measuring"}


def test_who_is_silent_is_taken_over_with_the_visits(store: MeasurementStore) -> None:
    one, other = join(store, "one", seconds=0.01), join(store, "other")
    measurement_id = one.take(wanted("a"), everything).ids["a"]
    store.add_visit(measurement_id, 0, Visit((1.0,)), worker="one")
    expire(one)
    assert other.take(wanted("a"), everything).ids == {"a": measurement_id}
    assert not store.add_visit(measurement_id, 1, Visit((9.0,)), worker="one")
    assert samples_ms(store, measurement_id) == [[1.0]]
    # Back to life it is known again, without what it had.
    one.renew()
    assert other.processes() == {"one": "process of one"}
    assert not store.add_visit(measurement_id, 1, Visit((9.0,)), worker="one")


def test_who_was_silent_and_was_not_missed_goes_on(store: MeasurementStore) -> None:
    one = join(store, "one", seconds=0.01)
    measurement_id = one.take(wanted("a"), everything).ids["a"]
    expire(one)
    assert store.add_visit(measurement_id, 0, Visit((1.0,)), worker="one")


def test_a_sign_of_life_keeps_the_claims(store: MeasurementStore) -> None:
    one, other = join(store, "one", seconds=5.0), join(store, "other")
    one.take(wanted("a"), everything)
    one.renew()
    assert other.take(wanted("a"), everything).held == ("a",)


def test_who_is_known_to_be_dead_is_not_waited_for(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    measurement_id = one.take(wanted("a"), everything).ids["a"]
    assert other.processes() == {"one": "process of one"}
    assert other.take(wanted("a"), everything, dead=["one"]).ids == {"a": measurement_id}
    assert other.processes() == {}


def test_who_signs_off_lets_everything_go(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    one.take(wanted("ab"), everything)
    one.sign_off()
    assert list(other.take(wanted("ab"), everything).ids) == ["a", "b"]
    assert other.processes() == {}


def test_who_was_left_with_nothing_counts_as_waiting(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    ids = one.take(wanted("abc"), everything).ids
    assert one.waiting() == 0
    other.take(wanted("abc"), everything)
    assert (one.waiting(), other.waiting()) == (1, 0)
    one.give_back([ids["b"], ids["c"]])
    assert list(other.take(wanted("abc"), everything).ids) == ["b", "c"]
    assert one.waiting() == 0
    assert store.add_visit(ids["a"], 0, Visit((1.0,)), worker="one")
    assert not store.add_visit(ids["b"], 0, Visit((1.0,)), worker="one")


def test_nobody_gives_back_what_is_anothers(store: MeasurementStore) -> None:
    one, other = join(store, "one"), join(store, "other")
    ids = one.take(wanted("a"), everything).ids
    other.give_back(ids.values())
    assert store.add_visit(ids["a"], 0, Visit((1.0,)), worker="one")


def test_many_take_at_once_and_none_gets_what_another_has(store: MeasurementStore) -> None:
    keys = [f"op{i}" for i in range(60)]
    got: dict[str, list[str]] = {}
    start = threading.Barrier(4)

    def work(name: str) -> None:
        book = join(store, name)
        mine: list[str] = []
        # Each asks in an order of its own.
        asked = [Wanted(key, "op") for key in (keys if name in "ab" else reversed(keys))]
        start.wait()
        while ids := book.take(asked, of(4)).ids:
            mine += ids
        got[name] = mine

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for mine in got.values() for key in mine) == sorted(keys)


# One at a time on a device

PHONE = Target.make("android:R58M12ABCDE", "litert", {})
OTHER_PHONE = Target.make("android:R58M12ABCDF", "litert", {})


def book_of(
    store: MeasurementStore,
    name: str,
    *,
    seconds: float = LONG_S,
    target: Target = PHONE,
    protocol: Protocol = PROTOCOL,
) -> ClaimBook:
    """A worker that has not signed on."""
    worker = Worker(name, f"host of {name}", f"process of {name}", target, HERE, protocol)
    return store.claim_book(worker, seconds)


@pytest.mark.parametrize(
    ("target", "protocol"),
    [
        (PHONE, PROTOCOL),
        (Target.make(PHONE.device, "litert", {"threads": 2}), PROTOCOL),
        (Target.make(PHONE.device, "onnxruntime", {}), PROTOCOL),
        (Target.make("android:R58M12ABCDE", "litert", {"cores": "little"}), PROTOCOL),
        (PHONE, Protocol(timed_runs=9)),
    ],
    ids=["the same", "threads", "runtime", "cores", "protocol"],
)
def test_who_is_alone_on_a_device_keeps_others_out_whatever_they_measure(
    store: MeasurementStore, target: Target, protocol: Protocol
) -> None:
    assert book_of(store, "one").sign_on(alone=True) == ()
    other = book_of(store, "other", target=target, protocol=protocol)
    assert other.sign_on(alone=True) == ("host of one",)


def test_another_environment_is_the_same_device(store: MeasurementStore) -> None:
    book_of(store, "one").sign_on(alone=True)
    updated = Worker("other", "b", "b", PHONE, Environment.of({"chip": "A", "v": "2"}), PROTOCOL)
    assert store.claim_book(updated, LONG_S).sign_on(alone=True) == ("host of one",)


def test_who_was_kept_out_is_not_known(store: MeasurementStore) -> None:
    one = book_of(store, "one")
    one.sign_on(alone=True)
    book_of(store, "other").sign_on(alone=True)
    assert one.processes_on_device() == {}


def test_all_machines_in_the_way_are_named_once(store: MeasurementStore) -> None:
    for name, host in (("a", "far"), ("b", "here"), ("c", "far")):
        store.claim_book(Worker(name, host, name, PHONE, HERE, PROTOCOL), LONG_S).sign_on()
    assert book_of(store, "other").sign_on(alone=True) == ("far", "here")


def test_two_devices_do_not_disturb_each_other(store: MeasurementStore) -> None:
    assert book_of(store, "one").sign_on(alone=True) == ()
    assert book_of(store, "other", target=OTHER_PHONE).sign_on(alone=True) == ()
    assert book_of(store, "cpu", target=TARGET).sign_on(alone=True) == ()


def test_a_device_whose_name_begins_alike_is_another(store: MeasurementStore) -> None:
    book_of(store, "one", target=Target.make("cuda:10", "torch", {})).sign_on(alone=True)
    other = book_of(store, "other", target=Target.make("cuda:1", "torch", {}))
    assert other.sign_on(alone=True) == ()


def test_who_is_not_alone_is_not_kept_out(store: MeasurementStore) -> None:
    assert book_of(store, "one").sign_on() == ()
    assert book_of(store, "other").sign_on() == ()


def test_who_signs_on_again_is_not_in_its_own_way(store: MeasurementStore) -> None:
    one = book_of(store, "one")
    assert one.sign_on(alone=True) == ()
    assert one.sign_on(alone=True) == ()


def test_who_signs_off_makes_room(store: MeasurementStore) -> None:
    one = book_of(store, "one")
    one.sign_on(alone=True)
    one.sign_off()
    assert book_of(store, "other").sign_on(alone=True) == ()


def test_who_is_silent_is_not_in_the_way(store: MeasurementStore) -> None:
    one = book_of(store, "one", seconds=0.01)
    one.sign_on(alone=True)
    expire(one)
    other = book_of(store, "other")
    assert other.processes_on_device() == {}
    assert other.sign_on(alone=True) == ()


def test_who_is_known_to_be_dead_is_not_in_the_way(store: MeasurementStore) -> None:
    book_of(store, "one").sign_on(alone=True)
    assert book_of(store, "other").sign_on(alone=True, dead=["one"]) == ()


def test_one_dead_worker_does_not_hide_a_live_one(store: MeasurementStore) -> None:
    for name in ("dead", "live"):
        join(store, name, target=PHONE)
    assert book_of(store, "other").sign_on(alone=True, dead=["dead"]) == ("host of live",)


def test_the_processes_on_a_device_are_those_of_all_its_targets(store: MeasurementStore) -> None:
    one = book_of(store, "one")
    one.sign_on()
    join(store, "two", target=Target.make(PHONE.device, "onnxruntime", {}))
    join(store, "three", target=PHONE, protocol=Protocol(timed_runs=9))
    join(store, "elsewhere", target=OTHER_PHONE)
    assert one.processes_on_device() == {"two": "process of two", "three": "process of three"}


def test_of_many_at_once_one_gets_the_device(store: MeasurementStore) -> None:
    start = threading.Barrier(4)
    refused: list[tuple[str, ...]] = []

    def work(name: str) -> None:
        book = book_of(store, name)
        start.wait()
        refused.append(book.sign_on(alone=True))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(hosts) for hosts in refused) == [0, 1, 1, 1]
