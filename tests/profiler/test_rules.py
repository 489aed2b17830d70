"""The rules of quality: each objects to what it is about, and hardly ever to a quiet series."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.health import Disturbance
from profiler.rules import (
    BUSY_SHARE,
    LEAST_VISITS,
    RULES,
    Evidence,
    bimodal,
    busy,
    coarse,
    drift,
    explain,
    few,
    judge,
    noisy,
    throttled,
)

QUIET = [1.0 + 0.001 * (i * 7 % 12) for i in range(24)]
LATENCIES = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=40)


def visits(values_ms: Sequence[float], disturbance: Disturbance | None = None) -> Evidence:
    """Visits of three runs each, the later ones a little slower, on a clock that is fine enough."""
    samples = [[value, value * 1.0123, value * 1.0345] for value in values_ms]
    return Evidence(values_ms, samples, disturbance)


def disturbed(
    other_cores: float = 0.0, throttle_events: int | None = 0, cores: int = 2
) -> Evidence:
    return visits(QUIET, Disturbance(60.0, other_cores, throttle_events, cores))


# Each rule


@pytest.mark.parametrize("count", range(1, 2 * LEAST_VISITS))
def test_fewer_visits_than_the_least_are_few(count: int) -> None:
    assert few(visits(QUIET[:count])) == (count < LEAST_VISITS)


@pytest.mark.parametrize(("difference", "objects"), [(0.04, False), (0.06, True)])
def test_halves_that_disagree_are_noisy(difference: float, objects: bool) -> None:
    assert noisy(visits([1.0, 1.0 + difference] * 6)) == objects


def test_one_visit_has_no_halves_that_could_disagree() -> None:
    assert not noisy(visits([1.0]))


@pytest.mark.parametrize(("change", "objects"), [(0.02, False), (0.04, False), (0.1, True)])
@pytest.mark.parametrize("count", [8, 12, 60])
def test_visits_that_take_longer_and_longer_drift(change: float, objects: bool, count: int) -> None:
    ramp = np.linspace(1.0, 1.0 + change, count)
    assert drift(visits(ramp.tolist())) == objects


def test_slow_visits_are_a_drift_where_they_are_the_last_ones() -> None:
    values = [*[1.0] * 16, *[1.5] * 8]
    assert drift(visits(values))
    Random(0).shuffle(values)
    assert not drift(visits(values))


def test_too_few_visits_do_not_drift() -> None:
    assert not drift(visits(np.linspace(1.0, 2.0, LEAST_VISITS - 1).tolist()))


@given(LATENCIES)
def test_a_drift_to_faster_is_one_as_well_as_a_drift_to_slower(values_ms: list[float]) -> None:
    assert drift(visits(values_ms)) == drift(visits(values_ms[::-1]))


def modes(distance: float, slow: int, count: int = 20) -> list[float]:
    """Visits around 1 ms, of which some are slower, in no order."""
    values = [value + (distance if i < slow else 0.0) for i, value in enumerate(QUIET[:count])]
    Random(0).shuffle(values)
    return values


@pytest.mark.parametrize("slow", [4, 10, 16])
def test_visits_in_two_groups_are_bimodal(slow: int) -> None:
    assert bimodal(visits(modes(0.1, slow)))


@pytest.mark.parametrize(
    ("distance", "slow"),
    [(0.0, 10), (0.02, 10), (0.1, 1), (0.1, 2), (0.1, 19)],
    ids=["one", "too near", "an outlier", "two outliers", "all but one"],
)
def test_outliers_and_neighbours_are_no_second_mode(distance: float, slow: int) -> None:
    assert not bimodal(visits(modes(distance, slow)))


def test_visits_spread_evenly_have_one_mode() -> None:
    assert not bimodal(visits(np.linspace(1.0, 2.0, 40).tolist()))


@given(LATENCIES, st.randoms(use_true_random=False))
def test_modes_do_not_depend_on_the_order(values_ms: list[float], random: Random) -> None:
    shuffled = list(values_ms)
    random.shuffle(shuffled)
    assert bimodal(visits(shuffled)) == bimodal(visits(values_ms))


@pytest.mark.parametrize(("events", "objects"), [(None, False), (0, False), (1, True)])
def test_a_processor_that_was_too_hot_is_throttled(events: int | None, objects: bool) -> None:
    assert throttled(disturbed(throttle_events=events)) == objects


@given(st.floats(0, 64), st.integers(2, 64))
def test_other_programs_on_half_of_the_other_cores_are_objected_to(
    other_cores: float, cores: int
) -> None:
    objects = busy(disturbed(other_cores=other_cores, cores=cores))
    assert objects == (other_cores / (cores - 1) > BUSY_SHARE)


def test_a_machine_of_one_core_has_none_to_spare() -> None:
    assert busy(disturbed(other_cores=0.6, cores=1))
    assert not busy(disturbed(other_cores=0.4, cores=1))


def test_a_machine_that_does_not_tell_is_neither_busy_nor_throttled() -> None:
    assert not busy(visits(QUIET))
    assert not throttled(visits(QUIET))


def ticks(tick_ms: float, noise: float = 0.05, count: int = 12) -> Evidence:
    """Runs of about a millisecond on a clock with a step."""
    generator = np.random.default_rng(0)
    runs = np.round(generator.normal(1.0, noise, (count, 5)) / tick_ms) * tick_ms
    return Evidence(runs.min(axis=1).tolist(), runs.tolist())


@pytest.mark.parametrize(
    ("tick_ms", "objects"), [(0.5, True), (0.1, True), (0.05, True), (0.01, False), (1e-6, False)]
)
def test_a_clock_with_large_steps_is_coarse(tick_ms: float, objects: bool) -> None:
    assert coarse(ticks(tick_ms)) == objects


def test_a_clock_that_says_one_thing_only_is_coarse() -> None:
    assert coarse(Evidence([1.0] * 8, [[1.0, 1.0]] * 8))


def test_too_few_runs_do_not_show_the_steps_of_a_clock() -> None:
    assert not coarse(ticks(0.5, count=3))


def test_noise_is_not_taken_for_the_steps_of_a_clock() -> None:
    assert not coarse(ticks(1e-6, noise=0.3))


# All of them


def test_a_quiet_series_is_sound() -> None:
    assert judge(visits(QUIET)) == ()
    assert judge(disturbed()) == ()


def test_a_quiet_series_is_hardly_ever_objected_to() -> None:
    generator = np.random.default_rng(0)
    found: list[str] = []
    for _ in range(500):
        runs = generator.normal(1.0, 0.01, (generator.integers(12, 61), 5))
        # What stands for a visit has the noise of one run, whichever it is.
        found += judge(Evidence(runs[:, 0].tolist(), runs.tolist()))[:1]
    assert len(found) < 0.02 * 500


def test_every_rule_that_objects_is_named_in_the_order_of_the_rules() -> None:
    evidence = Evidence([1.0, 2.0] * 3, [[1.0]] * 6, Disturbance(1.0, 2.0, 3))
    assert judge(evidence) == ("few", "noisy", "throttled", "busy")
    assert list(RULES) == ["few", "noisy", "drift", "bimodal", "throttled", "busy", "coarse"]


@given(LATENCIES, st.integers(-10, 10))
def test_what_is_found_does_not_depend_on_the_unit(values_ms: list[float], power: int) -> None:
    def scaled(values: Sequence[float]) -> list[float]:
        return [value * 2.0**power for value in values]

    evidence = visits(values_ms)
    other = Evidence(scaled(values_ms), [scaled(samples) for samples in evidence.samples_ms])
    assert judge(other) == judge(evidence)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_whatever_was_timed_can_be_judged(values_ms: list[float]) -> None:
    evidence = Evidence(values_ms, [[value] for value in values_ms], Disturbance(1.0, 0.0, None))
    assert set(judge(evidence)) <= set(RULES)


def test_what_a_rule_objects_to_is_said_in_one_line() -> None:
    for name in RULES:
        assert explain(name) != name
        assert explain(name).endswith(".")
        assert "\n" not in explain(name)


def test_a_rule_of_another_version_is_called_by_its_name() -> None:
    assert explain("haunted") == "haunted"
