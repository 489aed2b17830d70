from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import InputError
from latency_models.calibration import (
    TERMS,
    UNCALIBRATED,
    Calibration,
    calibrate,
    terms_of,
    weight_megabytes,
)
from profiler.ops import OpSpec

Array = npt.NDArray[np.float64]

LINEAR = OpSpec.make("linear", (8,), out=2)
FREE = OpSpec.make("identity", (8, 4, 4))
CROWDED = Calibration(
    constant_ms=0.1,
    slope=0.9,
    per_op_ms=0.01,
    per_megabyte_ms=0.05,
    crowding=0.02,
    pivot_sum_ms=(0.1, 0.8),
    pivot_megabytes=(0.5, 0.4),
    latency_low_ms=1.0,
    latency_high_ms=4.0,
    networks=20,
)


def rows_of(count: int, seed: int = 0) -> Array:
    """Networks of 8 to 20 ops that take 1 to 3 ms and hold 1 to 5 MB, all independent."""
    g = np.random.default_rng(seed)
    sums, ops, megabytes = g.uniform(1, 3, count), g.integers(7, 20, count), g.uniform(1, 5, count)
    return rows_from(sums, ops, megabytes)


def rows_from(sums: Array, ops: Array | float, megabytes: Array) -> Array:
    """The rows of networks with these sums, ops after the first, and megabytes of weights."""
    ops = np.broadcast_to(ops, sums.shape)
    return np.stack([np.ones(len(sums)), sums, ops, megabytes, sums * megabytes], 1)


def test_a_row_holds_sum_ops_weights_and_sum_times_weights() -> None:
    row = terms_of([LINEAR, FREE, LINEAR], np.array([0.1, 0, 0.3]))
    megabytes = 2 * weight_megabytes(LINEAR)
    assert megabytes > 0
    assert row == pytest.approx((1, 0.4, 1, megabytes, 0.4 * megabytes))


@pytest.mark.parametrize("crowding", [0.0, 0.02, -0.02])
def test_finds_every_term_of_an_exact_law(crowding: float) -> None:
    rows = rows_of(60)
    found = calibrate(rows, rows @ [0.05, 0.9, -0.01, 0.04, crowding])
    assert found.crowding == pytest.approx(crowding, abs=0.001)
    assert found.slope == pytest.approx(0.9, abs=0.02)
    assert found.per_op_ms == pytest.approx(-0.01, abs=0.002)
    assert found.per_megabyte_ms == pytest.approx(0.04, abs=0.003)
    # The first op's call is the network's own, so its share is in the constant.
    assert found.constant_ms + found.per_op_ms == pytest.approx(0.05, abs=0.03)
    assert found.loo_error == pytest.approx(0, abs=0.005)


def test_a_mismeasured_network_hardly_counts() -> None:
    rows = rows_of(20)
    measured = rows[:, 1] * 0.9
    measured[3] *= 2
    clean = np.arange(20) != 3
    found = calibrate(rows, measured)
    assert np.abs(found.predict_ms(rows) / measured - 1)[clean].max() < 0.02


def test_networks_that_hardly_differ_do_not_tear_slope_and_constant_apart() -> None:
    sums = np.random.default_rng(1).uniform(1.99, 2.01, 20)
    rows = rows_from(sums, 12, np.full(20, 3.0))
    noise = np.random.default_rng(2).normal(1, 0.02, 20)
    found = calibrate(rows, 1.1 * rows[:, 1] * noise)
    assert found.is_narrow
    assert 0.8 < found.slope < 1.4
    assert abs(found.constant_ms) < 0.5
    assert abs(found.crowding * rows[:, 4]).max() < 0.5


def test_networks_that_differ_are_not_called_narrow() -> None:
    rows = rows_of(20)
    found = calibrate(rows, rows[:, 1])
    assert not found.is_narrow
    assert (found.sum_low_ms, found.sum_high_ms) == (rows[:, 1].min(), rows[:, 1].max())


def test_a_term_that_is_left_out_stays_as_it_was() -> None:
    rows = rows_of(20)
    found = calibrate(rows, 1.2 * rows[:, 1], terms=("sum",))
    assert found.slope == pytest.approx(1.2, rel=1e-3)
    assert (found.constant_ms, found.per_op_ms, found.per_megabyte_ms) == (0, 0, 0)
    assert found.crowding == 0


def test_without_the_term_of_crowding_a_calibration_is_additive() -> None:
    rows = rows_of(20)
    measured = rows @ [0.05, 0.9, -0.01, 0.04, 0.02]
    assert not calibrate(rows, measured).is_additive
    assert calibrate(rows, measured, terms=TERMS[:4]).is_additive


def test_terms_that_never_occur_are_left_out() -> None:
    rows = rows_of(10)
    rows[:, 2:] = 0
    found = calibrate(rows, 1.2 * rows[:, 1])
    assert (found.per_op_ms, found.per_megabyte_ms, found.crowding) == (0, 0, 0)


def test_leave_one_out_error_tells_the_error_on_new_networks() -> None:
    def measure(rows: Array, seed: int) -> Array:
        noise = np.random.default_rng(seed).normal(1, 0.03, len(rows))
        return (rows @ [0.05, 0.9, -0.01, 0.04, 0.02]) * noise

    told, errors = [], []
    for seed in range(0, 120, 4):
        train, test = rows_of(20, seed=seed), rows_of(400, seed=seed + 1)
        found = calibrate(train, measure(train, seed + 2))
        told.append(found.loo_error)
        errors.append(np.abs(found.predict_ms(test) / measure(test, seed + 3) - 1).mean())
    # One estimate from 20 networks is off by up to a half; on the average it is right.
    assert np.mean(told) == pytest.approx(np.mean(errors), rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 12), st.integers(0, 10_000), st.floats(0.3, 3))
def test_any_positive_measurements_give_finite_terms_and_no_negative_slope(
    count: int, seed: int, factor: float
) -> None:
    rows = rows_of(count, seed)
    noise = np.random.default_rng(seed).lognormal(0, 0.5, count)
    found = calibrate(rows, factor * noise)
    assert found.slope >= 0
    assert np.isfinite([found.constant_ms, found.per_op_ms, found.per_megabyte_ms]).all()
    assert np.isfinite([found.crowding, *found.pivot_sum_ms, *found.pivot_megabytes]).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_networks_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="at least 3"):
        calibrate(rows_of(count), np.ones(count))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_latency_or_sum_that_cannot_be_is_refused(bad: float) -> None:
    rows, measured = rows_of(3), np.ones(3)
    with pytest.raises(InputError, match="measured latency"):
        calibrate(rows, np.array([1.0, bad, 1.0]))
    rows[0, 1] = bad
    with pytest.raises(InputError, match="sum of ops"):
        calibrate(rows, measured)


def test_an_unknown_term_is_named() -> None:
    with pytest.raises(InputError, match="depth"):
        calibrate(rows_of(3), np.ones(3), terms=("sum", "depth"))


def test_contributions_are_never_negative_and_nothing_for_free_ops() -> None:
    calibration = Calibration(slope=0.9, per_op_ms=-0.01, per_megabyte_ms=100.0)
    added = calibration.contributions_ms([LINEAR, FREE, LINEAR], np.array([0.1, 0, 0.001]))
    assert added[0] == pytest.approx(0.09 - 0.01 + 100 * weight_megabytes(LINEAR))
    assert added[1] == 0
    cheap = Calibration(per_op_ms=-0.01).contributions_ms([LINEAR], np.array([0.001]))
    assert cheap[0] == 0


def test_uncalibrated_is_the_plain_sum() -> None:
    np.testing.assert_array_equal(UNCALIBRATED.contributions_ms([LINEAR], np.array([0.2])), [0.2])
    rows = rows_of(5)
    np.testing.assert_array_equal(UNCALIBRATED.predict_ms(rows), rows[:, 1])
    assert UNCALIBRATED.networks == 0


def test_a_prediction_is_the_formula_with_the_first_op_in_the_constant() -> None:
    rows = rows_from(np.array([2.0]), 11, np.array([3.0]))
    wanted = 0.1 + 0.9 * 2 + 0.01 * 12 + 0.05 * 3 + 0.02 * 2 * 3
    assert CROWDED.predict_ms(rows) == pytest.approx([wanted])


def test_a_crowded_calibration_has_no_contributions_and_names_what_has() -> None:
    with pytest.raises(InputError, match="no op has a contribution") as caught:
        CROWDED.contributions_ms([LINEAR], np.array([0.2]))
    assert "near(latency_ms)" in caught.value.hint


@pytest.mark.parametrize("latency_ms", [1.0, 2.5, 4.0])
def test_near_equals_the_calibration_at_its_pivot(latency_ms: float) -> None:
    sums, megabytes = np.array([0.1 + 0.8 * latency_ms]), np.array([0.5 + 0.4 * latency_ms])
    near = CROWDED.near(latency_ms)
    assert near.is_additive
    for ops in (0, 11):
        rows = rows_from(sums, ops, megabytes)
        np.testing.assert_allclose(near.predict_ms(rows), CROWDED.predict_ms(rows), rtol=1e-12)


def test_near_errs_by_crowding_times_both_distances_from_its_pivot() -> None:
    rows = rows_of(20)
    missed = CROWDED.predict_ms(rows) - CROWDED.near(2.0).predict_ms(rows)
    wanted = 0.02 * (rows[:, 1] - 1.7) * (rows[:, 3] - 1.3)
    np.testing.assert_allclose(missed, wanted, atol=1e-12)


def test_near_of_an_additive_calibration_is_itself() -> None:
    additive = Calibration(0.1, 0.9, latency_low_ms=1.0, latency_high_ms=4.0, networks=20)
    assert additive.near(2.0) is additive
    assert UNCALIBRATED.near(2.0) is UNCALIBRATED


def test_near_has_contributions_that_add_up() -> None:
    near = CROWDED.near(2.0)
    alone = np.array([0.4, 0, 0.3])
    network = [LINEAR, FREE, LINEAR]
    whole = near.constant_ms + near.contributions_ms(network, alone).sum()
    rows = np.array([terms_of(network, alone)])
    assert near.predict_ms(rows) == pytest.approx([whole], rel=1e-12)


def test_beyond_the_latencies_it_was_fitted_to_near_is_at_the_nearest() -> None:
    assert CROWDED.near(0.1) == CROWDED.near(1.0)
    assert CROWDED.near(100.0) == CROWDED.near(4.0)
    assert CROWDED.near(1.0) != CROWDED.near(1.5) != CROWDED.near(4.0)


def test_pivots_are_the_lines_of_sums_and_weights_against_latency() -> None:
    latencies = np.linspace(1, 4, 12)
    rows = rows_from(0.1 + 0.8 * latencies, 11, 0.5 + 0.4 * latencies)
    found = calibrate(rows, latencies)
    assert found.pivot_sum_ms == pytest.approx((0.1, 0.8))
    assert found.pivot_megabytes == pytest.approx((0.5, 0.4))
    assert (found.latency_low_ms, found.latency_high_ms) == (1, 4)


def test_pivots_of_networks_of_one_latency_are_their_means() -> None:
    rows = rows_of(10)
    found = calibrate(rows, np.full(10, 2.0))
    assert found.pivot_sum_ms == pytest.approx((rows[:, 1].mean(), 0))
    assert found.pivot_megabytes == pytest.approx((rows[:, 3].mean(), 0))
