"""Models that are loaded anew: how often, what is timed, and what becomes of the old ones."""

from __future__ import annotations

import pytest

from devices.base import LoadedModel
from devices.errors import ArtifactError, DeviceError, MeasurementError
from profiler import renewal
from profiler.protocol import Protocol
from profiler.renewal import SETTLING_RUNS, load_renewed


class Clock:
    """Stands in for the time module: moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Shelf:
    """Loads models that take a given time to load and to visit, and logs what happens to them."""

    def __init__(self, clock: Clock, load_s: float, visit_s: float) -> None:
        self.clock = clock
        self.load_s = load_s
        self.visit_s = visit_s
        self.log: list[str] = []
        self.asked: list[tuple[int, int]] = []
        self.trouble: Exception | None = None
        self.loads = 0

    def load(self) -> LoadedModel:
        if self.trouble:
            raise self.trouble
        self.clock.now += self.load_s
        self.loads += 1
        self.log.append(f"load {self.loads}")
        return Shelved(self, self.loads)


class Shelved:
    def __init__(self, shelf: Shelf, number: int) -> None:
        self._shelf = shelf
        self._number = number

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        self._shelf.clock.now += self._shelf.visit_s
        self._shelf.asked.append((warmup, runs))
        return [float(self._number)] * runs

    def close(self) -> None:
        self._shelf.log.append(f"close {self._number}")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(renewal, "time", clock)
    return clock


def visit(model: LoadedModel, times: int) -> list[int]:
    """The load that each of some visits has timed."""
    return [int(model.time_ms(warmup=2, runs=5)[0]) for _ in range(times)]


def test_a_model_is_loaded_anew_when_its_visits_were_worth_it(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=1.0, visit_s=2.0)
    model = load_renewed(shelf.load, Protocol(renewal=4.0))
    assert visit(model, 8) == [1, 1, 1, 2, 2, 2, 3, 3]


def test_loading_is_a_small_share_of_the_time(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=10.0, visit_s=0.5)
    visit(load_renewed(shelf.load, Protocol(renewal=4.0)), 1000)
    assert shelf.loads > 1
    assert shelf.loads * shelf.load_s <= clock.now / 5 + shelf.load_s


def test_the_old_load_is_closed_after_the_new_one_has_its_place(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=1.0, visit_s=5.0)
    model = load_renewed(shelf.load, Protocol(renewal=4.0))
    visit(model, 3)
    assert shelf.log == ["load 1", "load 2", "close 1", "load 3", "close 2"]
    model.close()
    assert shelf.log[-1] == "close 3"


def test_a_new_load_runs_untimed_for_longer(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=1.0, visit_s=3.0)
    visit(load_renewed(shelf.load, Protocol(renewal=4.0)), 4)
    assert shelf.asked == [(2, 5), (2, 5), (2 + SETTLING_RUNS, 5), (2, 5)]


def test_without_renewal_a_model_is_what_was_loaded(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=0.0, visit_s=5.0)
    model = load_renewed(shelf.load, Protocol())
    assert isinstance(model, Shelved)
    assert visit(model, 20) == [1] * 20


def test_a_model_that_cannot_be_loaded_at_first_says_so(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=1.0, visit_s=5.0)
    shelf.trouble = ArtifactError("truncated")
    with pytest.raises(ArtifactError, match="truncated"):
        load_renewed(shelf.load, Protocol(renewal=4.0))


def test_a_model_that_cannot_be_loaded_again_has_failed(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=1.0, visit_s=5.0)
    model = load_renewed(shelf.load, Protocol(renewal=4.0))
    visit(model, 1)
    shelf.trouble = ArtifactError("truncated")
    with pytest.raises(MeasurementError, match=r"not again.*truncated"):
        visit(model, 1)
    model.close()
    assert shelf.log == ["load 1", "close 1"]


def test_a_device_that_went_away_meanwhile_is_no_failure_of_the_model(clock: Clock) -> None:
    shelf = Shelf(clock, load_s=1.0, visit_s=5.0)
    model = load_renewed(shelf.load, Protocol(renewal=4.0))
    visit(model, 1)
    shelf.trouble = DeviceError("the connection ended")
    with pytest.raises(DeviceError, match="connection"):
        visit(model, 1)
