"""From visits to a figure: the interval covers what it says, the halves tell noise."""

from __future__ import annotations

import math
import statistics
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from profiler.quality import (
    SOUND,
    Summary,
    interval_error,
    median_interval,
    split_half_difference,
    split_half_error,
    summarise,
)

LATENCIES = st.floats(min_value=1e-6, max_value=1e6)
VISITS = st.lists(st.lists(LATENCIES, min_size=1, max_size=4), min_size=2, max_size=30)


def coverage(left_out: int, n: int) -> float:
    """Chance that the median lies between the order statistics left_out + 1 and n - left_out."""
    return float(1 - 2 * binom.cdf(left_out, n, 0.5))


@pytest.mark.parametrize("wanted", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [*range(1, 40), 60, 101, 1500])
def test_the_interval_is_the_narrowest_that_covers(n: int, wanted: float) -> None:
    low, high = median_interval(range(n), wanted)
    left_out = int(low)
    assert high == n - 1 - left_out
    assert left_out == 0 or coverage(left_out, n) >= wanted
    if left_out + 1 <= n - 2 - left_out:
        assert coverage(left_out + 1, n) < wanted


def test_six_values_are_enough_for_95_percent() -> None:
    assert median_interval(range(6)) == (0, 5)
    assert coverage(0, 6) >= 0.95
    assert coverage(0, 5) < 0.95


@pytest.mark.parametrize("n", [6, 12, 25])
def test_the_true_median_is_inside_as_often_as_is_said(n: int) -> None:
    generator = np.random.default_rng(n)
    inside = 0
    for sample in generator.lognormal(mean=0.0, sigma=0.5, size=(4000, n)):
        low, high = median_interval(sample.tolist())
        inside += low <= 1.0 <= high
    assert inside / 4000 >= 0.95 - 0.01


@given(st.lists(LATENCIES, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_interval_does_not_depend_on_the_order(values: list[float], random: Random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    low, high = median_interval(shuffled)
    assert (low, high) == median_interval(values)
    assert low <= statistics.median(values) <= high


@pytest.mark.parametrize(
    ("values", "difference"),
    [
        ([1.0, 1.0], 0.0),
        ([1.0, 3.0], 1.0),
        ([3.0, 1.0], 1.0),
        ([1.0, 3.0, 1.0, 3.0, 1.0], 1.0),
        ([1.0, 1.1, 1.0, 1.1], 0.1 / 1.05),
        ([1.0, 1.0, 100.0, 1.0, 1.0, 1.0], 0.0),
        ([5.0] * 7, 0.0),
    ],
)
def test_the_difference_of_the_halves_is_relative_to_their_mean(
    values: list[float], difference: float
) -> None:
    assert split_half_difference(values) == pytest.approx(difference)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_value_has_no_halves(values: list[float]) -> None:
    assert math.isnan(split_half_difference(values))


@given(st.lists(LATENCIES, min_size=2, max_size=20), st.integers(-10, 10))
def test_the_difference_does_not_depend_on_the_unit(values: list[float], power: int) -> None:
    scaled = [value * 2.0**power for value in values]
    assert split_half_difference(scaled) == pytest.approx(split_half_difference(values))


def test_noisier_values_have_a_larger_difference() -> None:
    generator = np.random.default_rng(0)
    quiet, noisy = (
        statistics.fmean(
            split_half_difference(row.tolist())
            for row in generator.lognormal(sigma=sigma, size=(200, 20))
        )
        for sigma in (0.01, 0.1)
    )
    assert 5 < noisy / quiet < 20


def test_the_error_of_a_run_is_the_mean_over_its_models() -> None:
    differences = (split_half_difference(values) for values in ([1.0, 3.0], [2.0, 2.0]))
    assert split_half_error(differences) == pytest.approx(0.5)


def test_what_has_no_halves_yet_does_not_count() -> None:
    assert split_half_error([math.nan, 0.25]) == 0.25
    assert math.isnan(split_half_error([]))
    assert math.isnan(split_half_error([math.nan]))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([2.0], 0.0),
        ([1.0, 1.0, 1.0], 0.0),
        ([1.0, 3.0], 0.5),
        ([0.9, 1.0, 1.1], 0.1),
        # Of nine values the outermost two are outside.
        ([0.1, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.1, 9.0], 0.1),
    ],
)
def test_the_interval_error_is_half_the_width_relative_to_the_median(
    values: list[float], error: float
) -> None:
    assert interval_error(values) == pytest.approx(error)


@given(
    st.lists(LATENCIES, min_size=1, max_size=40),
    st.integers(-10, 10),
    st.randoms(use_true_random=False),
)
def test_the_interval_error_depends_neither_on_the_order_nor_on_the_unit(
    values: list[float], power: int, random: Random
) -> None:
    scaled = [value * 2.0**power for value in values]
    random.shuffle(scaled)
    assert interval_error(scaled) == pytest.approx(interval_error(values))


def test_more_visits_make_the_interval_error_smaller() -> None:
    generator = np.random.default_rng(0)
    few, many = (
        statistics.fmean(
            interval_error(row.tolist()) for row in generator.lognormal(sigma=0.05, size=(200, n))
        )
        for n in (12, 192)
    )
    # As the square root of their number, or nearly so.
    assert 3 < few / many < 6


def test_a_visit_counts_with_its_fastest_run() -> None:
    summary = summarise([[3.0, 1.0, 2.0], [9.0, 2.0], [4.0, 30.0]])
    assert summary.median_ms == 2.0
    assert (summary.ci_low_ms, summary.ci_high_ms) == (1.0, 4.0)
    assert summary.spread == pytest.approx(1.0 / 2.0)
    assert summary.split_half == pytest.approx((2.5 - 2.0) / 2.25)
    assert (summary.visits, summary.runs) == (3, 7)


def test_a_visit_counts_with_the_latency_it_is_given() -> None:
    summary = summarise([[3.0, 1.0], [9.0, 2.0], [4.0]], values_ms=[10.0, 30.0, 20.0])
    assert (summary.median_ms, summary.ci_low_ms, summary.ci_high_ms) == (20.0, 10.0, 30.0)
    assert summary.spread == pytest.approx(10.0 / 20.0)
    assert summary.split_half == pytest.approx((30.0 - 15.0) / 22.5)
    # The runs are those that were timed.
    assert (summary.visits, summary.runs) == (3, 5)


@given(VISITS)
def test_by_default_that_is_the_fastest_run(visits_ms: list[list[float]]) -> None:
    assert summarise(visits_ms) == summarise(visits_ms, [min(visit) for visit in visits_ms])


@pytest.mark.parametrize(
    ("findings", "text"),
    [(None, None), ((), SOUND), (("few",), "few"), (("noisy", "drift"), "noisy drift")],
)
def test_the_columns_of_a_summary_have_findings_as_words(
    findings: tuple[str, ...] | None, text: str | None
) -> None:
    summary = Summary(2.0, 1.5, 2.5, 0.1, 0.01, 12, 60, 0.5, 0.25, findings)
    assert summary.to_columns() == {
        "median_ms": 2.0,
        "ci_low_ms": 1.5,
        "ci_high_ms": 2.5,
        "spread": 0.1,
        "split_half": 0.01,
        "visits": 12,
        "runs": 60,
        "exponent": 0.5,
        "nominal_ms": 0.25,
        "findings": text,
    }


def test_one_visit_has_a_latency_but_no_halves() -> None:
    summary = summarise([[1.5]])
    assert (summary.median_ms, summary.ci_low_ms, summary.ci_high_ms) == (1.5, 1.5, 1.5)
    assert (summary.spread, summary.visits, summary.runs) == (0.0, 1, 1)
    assert math.isnan(summary.split_half)


@given(VISITS)
def test_a_summary_is_consistent(visits_ms: list[list[float]]) -> None:
    summary = summarise(visits_ms)
    fastest = [min(visit) for visit in visits_ms]
    assert min(fastest) <= summary.ci_low_ms <= summary.median_ms <= summary.ci_high_ms
    assert summary.ci_high_ms <= max(fastest)
    assert summary.spread >= 0
    assert 0 <= summary.split_half <= 2
    assert summary.visits == len(visits_ms)
    assert summary.runs == sum(map(len, visits_ms))


def test_a_slow_outlier_hardly_matters() -> None:
    quiet = [[1.0 + i / 1000] for i in range(21)]
    disturbed = [*quiet[:-1], [50.0]]
    assert summarise(disturbed).median_ms == summarise(quiet).median_ms
    assert summarise(disturbed).ci_high_ms == summarise(quiet).ci_high_ms
