"""Health: what else happened on a machine, from totals that are read twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devices.health
from devices.health import Counters, Disturbance, Watched, host_counters
from devices.host import HostDevice

STAT = "cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
SECONDS = st.floats(0, 1e6)


def test_what_happened_is_the_difference_of_two_readings() -> None:
    earlier = Counters(time_s=100.0, busy_s=50.0, own_s=5.0, throttle_events=3)
    later = Counters(time_s=110.0, busy_s=75.0, own_s=15.0, throttle_events=7)
    # Of 25 busy seconds, 10 are this process' own: the rest is 1.5 cores over 10 seconds.
    assert later.since(earlier) == Disturbance(10.0, 1.5, 4)


@pytest.mark.parametrize(("earlier", "later"), [(None, 3), (3, None), (None, None)])
def test_throttling_that_is_told_once_only_is_not_known(
    earlier: int | None, later: int | None
) -> None:
    first, second = Counters(0.0, 0.0, 0.0, earlier), Counters(1.0, 0.0, 0.0, later)
    assert second.since(first).throttle_events is None


@given(SECONDS, SECONDS, SECONDS)
def test_others_are_never_less_than_idle(time_s: float, busy_s: float, own_s: float) -> None:
    # The ticks of the system are coarser than the clock of the process.
    disturbance = Counters(time_s, busy_s, own_s, 0).since(Counters(0.0, 0.0, 0.0, 0))
    assert disturbance.other_cores >= 0
    assert disturbance.seconds > 0


def test_two_readings_at_once_are_no_time_apart_and_no_error() -> None:
    reading = Counters(1.0, 2.0, 3.0, 4)
    disturbance = reading.since(reading)
    assert (disturbance.other_cores, disturbance.throttle_events) == (0.0, 0)
    assert 0 < disturbance.seconds < 1e-6


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of files: ``stat`` and ``cpu``."""
    (tmp_path / "stat").write_text(STAT)
    monkeypatch.setattr(devices.health, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(devices.health, "_THROTTLE", str(tmp_path / "cpu"))
    monkeypatch.setattr(devices.health, "_TICKS_PER_S", 100)
    return tmp_path


def throttle(machine: Path, cpu: int, count: str) -> None:
    folder = machine / "cpu" / f"cpu{cpu}" / "thermal_throttle"
    folder.mkdir(parents=True)
    (folder / "core_throttle_count").write_text(count)


def counters() -> Counters:
    found = host_counters()
    assert found
    return found


def test_waiting_and_idling_are_not_busy_and_stolen_time_is(machine: Path) -> None:
    # user, nice, system, irq, softirq and steal; guests are in user already.
    assert counters().busy_s == (100 + 20 + 30 + 6 + 7 + 8) / 100


def test_a_machine_that_does_not_count_throttling_says_nothing(machine: Path) -> None:
    assert counters().throttle_events is None


def test_throttling_is_counted_over_all_cores(machine: Path) -> None:
    throttle(machine, 0, "2\n")
    throttle(machine, 11, "3\n")
    assert counters().throttle_events == 5


def test_a_count_that_is_none_is_not_known(machine: Path) -> None:
    throttle(machine, 0, "2\n")
    throttle(machine, 1, "many\n")
    assert counters().throttle_events is None


@pytest.mark.parametrize("stat", [None, "", "cpu 1 2 3", "cpu a b c d e f g h", "intr 1"], ids=repr)
def test_a_system_that_does_not_tell_is_none(machine: Path, stat: str | None) -> None:
    (machine / "stat").unlink()
    if stat is not None:
        (machine / "stat").write_text(stat)
    assert host_counters() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/stat: run on Linux")
def test_the_totals_of_this_machine_only_grow() -> None:
    first, second = counters(), counters()
    assert second.time_s >= first.time_s
    assert second.busy_s >= first.busy_s > 0
    assert second.own_s >= first.own_s > 0
    assert second.since(first).other_cores >= 0


def test_this_machine_can_be_watched() -> None:
    assert isinstance(HostDevice(), Watched)
