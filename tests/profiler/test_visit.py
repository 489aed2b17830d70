"""Visits: brought to one speed of the machine, and read back from the store as they were."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import StoreError
from profiler.quality import split_half_difference, split_half_error
from profiler.visit import EXPONENTS, PLAIN, Scale, Series, Visit, choose_scale

MODELS_MS = (0.05, 0.4, 1.0, 3.0, 20.0)
REFERENCE_MS = 0.5
LATENCIES = st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=4).map(tuple)
VISITS = st.builds(Visit, LATENCIES, st.just(()) | LATENCIES)


def run_error(series: Sequence[Series], scale: Scale = PLAIN) -> float:
    """Split-half error over some series."""
    return split_half_error(split_half_difference(each.values_ms(scale)) for each in series)


def medians(series: Sequence[Series], scale: Scale) -> list[float]:
    return [float(np.median(each.values_ms(scale))) for each in series]


class Machine:
    """A simulated machine that is ``slowness(t)`` times slower at visit ``t``.

    Args:
        slowness: of the reference; models are slower by its ``exponent``-th power.
        exponent: how much of the reference's slowing-down the models share.
        noise: of each timed run of a model, relative, on its own.
        reference_noise: of each timing of the reference, relative, on its own.
    """

    def __init__(
        self,
        slowness: Callable[[float], float],
        exponent: float = 1.0,
        noise: float = 0.002,
        reference_noise: float = 0.002,
    ) -> None:
        self._slowness = slowness
        self._exponent = exponent
        self._noise = noise
        self._reference_noise = reference_noise
        self._generator = np.random.default_rng(0)
        self._time = itertools.count()

    def visit(self, model_ms: float, runs: int = 3) -> Visit:
        """A visit with the reference before and after it."""
        slowness = self._slowness(next(self._time))
        slow = slowness**self._exponent
        return Visit(
            tuple(model_ms * slow * self._jitter(self._noise) for _ in range(runs)),
            tuple(REFERENCE_MS * slowness * self._jitter(self._reference_noise) for _ in range(2)),
        )

    def series(self, visits: int = 24) -> list[Series]:
        """Rounds over all models."""
        series = [Series() for _ in MODELS_MS]
        for _ in range(visits):
            for each, model_ms in zip(series, MODELS_MS, strict=True):
                each.add(self.visit(model_ms))
        return series

    def _jitter(self, noise: float) -> float:
        return float(np.exp(noise * self._generator.standard_normal()))


def wave(time: float) -> float:
    """Slower and faster by 40 %, over some rounds."""
    return 1.0 + 0.4 * math.sin(time / 7)


def steady(time: float) -> float:
    return 1.0


# One visit


def test_the_fastest_run_stands_for_a_visit() -> None:
    visit = Visit((3.0, 2.0, 4.0))
    assert visit.fastest_ms == 2.0
    assert Series([visit]).values_ms(PLAIN) == [2.0]


def test_it_is_compared_with_the_mean_of_the_reference_before_and_after() -> None:
    (value,) = Series([Visit((1.5, 2.0), (0.4, 0.8))]).values_ms(Scale(1.0, 1.2))
    assert value == pytest.approx(1.5 / (0.6 / 1.2))


@given(LATENCIES, LATENCIES, st.sampled_from(EXPONENTS), st.floats(1e-3, 1e3))
def test_the_latency_is_by_the_formula(
    samples_ms: tuple[float, ...],
    reference_ms: tuple[float, ...],
    exponent: float,
    nominal_ms: float,
) -> None:
    visit = Visit(samples_ms, reference_ms)
    (value,) = Series([visit]).values_ms(Scale(exponent, nominal_ms))
    speed = float(np.mean(reference_ms)) / nominal_ms
    assert value == pytest.approx(min(samples_ms) / speed**exponent)


@given(VISITS)
def test_every_visit_has_a_latency_under_every_exponent(visit: Visit) -> None:
    values = visit.values_ms()
    assert values.shape == (len(EXPONENTS),)
    assert np.all(values > 0)
    assert np.all(np.isfinite(values))
    assert values[0] == visit.fastest_ms


def test_a_scale_without_exponent_changes_nothing() -> None:
    assert PLAIN.factor == Scale(0.0, 123.0).factor == 1.0
    assert Scale(1.5, 4.0).factor == 8.0


# Several visits


def test_a_series_is_the_visits_it_was_given() -> None:
    visits = [Visit((1.0, 1.1), (0.5, 0.6)), Visit((2.0,), (0.7, 0.8))]
    series = Series(visits[:1])
    series.add(visits[1])
    assert (len(series), series.visits) == (2, tuple(visits))
    assert series.samples_ms == [(1.0, 1.1), (2.0,)]
    assert series.references_ms == [0.5, 0.6, 0.7, 0.8]
    assert series.table().shape == (2, len(EXPONENTS))


def test_a_series_of_nothing_is_empty() -> None:
    series = Series()
    assert (len(series), series.values_ms(PLAIN), series.references_ms) == (0, [], [])
    assert series.table().shape == (0, len(EXPONENTS))


def test_a_series_knows_whether_the_reference_was_beside_all_of_it() -> None:
    series = Series([Visit((1.0,), (0.5, 0.5))])
    assert series.is_referenced
    series.add(Visit((1.0,)))
    assert not series.is_referenced


# Bringing visits to one speed


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0, 1.25])
def test_the_exponent_of_a_drifting_machine_is_found(exponent: float) -> None:
    assert choose_scale(Machine(wave, exponent).series()).exponent == exponent


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.25])
def test_latencies_of_a_drifting_machine_are_those_at_the_nominal_speed(exponent: float) -> None:
    series = Machine(wave, exponent).series()
    scale = choose_scale(series, nominal_ms=REFERENCE_MS)
    assert scale.nominal_ms == REFERENCE_MS
    assert medians(series, scale) == pytest.approx(list(MODELS_MS), rel=0.01)
    for each, model_ms in zip(series, MODELS_MS, strict=True):
        assert each.values_ms(scale) == pytest.approx([model_ms] * len(each), rel=0.02)
        timed = each.values_ms(PLAIN)
        assert max(timed) > 1.3 * min(timed)


def test_a_machine_that_ends_faster_than_it_began_is_seen_at_one_speed() -> None:
    series = Machine(lambda time: 2.0 if time < 60 else 1.0).series(visits=25)
    scale = choose_scale(series, REFERENCE_MS)
    for each, model_ms in zip(series, MODELS_MS, strict=True):
        assert each.values_ms(scale) == pytest.approx([model_ms] * len(each), rel=0.02)


def test_latencies_are_those_at_the_speed_that_is_asked_for() -> None:
    series = Machine(wave).series()
    slow = choose_scale(series, nominal_ms=2 * REFERENCE_MS)
    assert slow.exponent == 1.0
    assert medians(series, slow) == pytest.approx([2 * value for value in MODELS_MS], rel=0.01)


def test_without_a_given_speed_it_is_that_in_the_middle_of_the_run() -> None:
    series = Machine(wave).series()
    references = [value for each in series for value in each.references_ms]
    assert choose_scale(series).nominal_ms == float(np.median(references))


def test_noise_that_the_reference_does_not_share_is_not_divided_by_it() -> None:
    series = Machine(steady, noise=0.03, reference_noise=0.05).series()
    scale = choose_scale(series, REFERENCE_MS)
    assert scale.exponent <= EXPONENTS[2]
    assert medians(series, scale) == pytest.approx(medians(series, PLAIN), rel=0.01)
    assert run_error(series, scale) <= run_error(series)


@pytest.mark.parametrize("seed", range(5))
def test_bringing_to_one_speed_never_raises_the_error_of_the_run(seed: int) -> None:
    generator = np.random.default_rng(seed)
    series = [
        Series(
            [
                Visit(tuple(generator.lognormal(0, 0.2, 3)), tuple(generator.lognormal(-1, 0.2, 2)))
                for _ in range(9)
            ]
        )
        for _ in range(4)
    ]
    assert run_error(series, choose_scale(series)) <= run_error(series)


def test_without_a_reference_latencies_are_as_timed() -> None:
    series = [Series([Visit((2.0, 3.0, 4.0)), Visit((5.0,))])]
    assert choose_scale(series) == choose_scale(series, 0.5) == choose_scale([]) == PLAIN
    assert series[0].values_ms(PLAIN) == [2.0, 5.0]


def test_one_visit_without_the_reference_leaves_all_as_timed() -> None:
    series = Machine(wave).series()
    series[0].add(Visit((0.05,)))
    assert choose_scale(series, REFERENCE_MS) == PLAIN


def test_too_few_visits_choose_no_exponent_but_know_the_speed() -> None:
    series = Machine(wave).series(visits=3)
    assert choose_scale(series, 0.25) == Scale(0.0, 0.25)
    assert choose_scale(Machine(wave).series(visits=4)).exponent > 0


def test_a_visit_that_took_no_time_chooses_no_exponent() -> None:
    series = Machine(wave).series()
    series[0].add(Visit((0.0,), (0.5, 0.5)))
    assert choose_scale(series, REFERENCE_MS) == Scale(0.0, REFERENCE_MS)


# In the store


@given(VISITS)
def test_a_visit_comes_back_from_its_columns(visit: Visit) -> None:
    assert Visit.from_columns(list(visit.samples_ms), list(visit.reference_ms) or None) == visit


def test_a_visit_of_before_there_was_a_reference_is_read() -> None:
    assert Visit.from_columns([1.0, 2.0], None) == Visit((1.0, 2.0))


def test_a_run_below_the_resolution_of_a_clock_is_read() -> None:
    assert Visit.from_columns([0.0, 1.0]) == Visit((0.0, 1.0))


@pytest.mark.parametrize(
    "columns",
    [
        {"samples_ms": None},
        {"samples_ms": []},
        {"samples_ms": 1.0},
        {"samples_ms": "1.0"},
        {"samples_ms": {"1.0": 1.0}},
        {"samples_ms": [None]},
        {"samples_ms": ["1.0"]},
        {"samples_ms": [[1.0]]},
        {"samples_ms": [-1.0]},
        {"samples_ms": [math.nan]},
        {"samples_ms": [math.inf]},
        {"reference_ms": 0.5},
        {"reference_ms": "0.5"},
        {"reference_ms": [None]},
        {"reference_ms": [0.0, 1.0]},
        {"reference_ms": [-1.0, 1.0]},
        {"reference_ms": [math.nan, 1.0]},
    ],
    ids=str,
)
def test_damaged_columns_are_a_store_error(columns: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"samples_ms": [1.0], "reference_ms": [0.5, 0.5]}
    assert Visit.from_columns(**whole) == Visit((1.0,), (0.5, 0.5))
    with pytest.raises(StoreError, match="a visit in the store is damaged"):
        Visit.from_columns(**{**whole, **columns})
