from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import InputError
from latency_models.calibration import UNCALIBRATED, Calibration, calibrate, weight_megabytes
from profiler.ops import OpSpec

Array = npt.NDArray[np.float64]


def rows_of(count: int, seed: int = 0) -> Array:
    """Networks of 8 to 20 ops that take 1 to 3 ms and hold 1 to 5 MB, all independent."""
    g = np.random.default_rng(seed)
    sums, ops, megabytes = g.uniform(1, 3, count), g.integers(7, 20, count), g.uniform(1, 5, count)
    return np.stack([np.ones(count), sums, ops.astype(float), megabytes], 1)


def test_finds_every_term_of_an_exact_law() -> None:
    rows = rows_of(60)
    found = calibrate(rows, rows @ [0.05, 0.9, -0.01, 0.04])
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
    predicted = rows[:, 1] * found.slope + rows[:, 2:] @ [found.per_op_ms, found.per_megabyte_ms]
    predicted += found.constant_ms + found.per_op_ms
    assert np.abs(predicted / measured - 1)[clean].max() < 0.02


def test_networks_that_hardly_differ_do_not_tear_slope_and_constant_apart() -> None:
    rows = rows_of(20)
    rows[:, 1] = np.random.default_rng(1).uniform(1.99, 2.01, 20)
    rows[:, 2:] = [12, 3]
    noise = np.random.default_rng(2).normal(1, 0.02, 20)
    found = calibrate(rows, 1.1 * rows[:, 1] * noise)
    assert found.is_narrow
    assert 0.8 < found.slope < 1.4
    assert abs(found.constant_ms) < 0.5


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


def test_terms_that_never_occur_are_left_out() -> None:
    rows = rows_of(10)
    rows[:, 2:] = 0
    found = calibrate(rows, 1.2 * rows[:, 1])
    assert (found.per_op_ms, found.per_megabyte_ms) == (0, 0)


def test_leave_one_out_error_tells_the_error_on_new_networks() -> None:
    def measure(rows: Array, seed: int) -> Array:
        noise = np.random.default_rng(seed).normal(1, 0.03, len(rows))
        return (rows @ [0.05, 0.9, -0.01, 0.04]) * noise

    train, test = rows_of(20, seed=1), rows_of(400, seed=2)
    found = calibrate(train, measure(train, 3))
    coefficients = [
        found.constant_ms + found.per_op_ms,
        found.slope,
        found.per_op_ms,
        found.per_megabyte_ms,
    ]
    error = np.abs(test @ coefficients / measure(test, 4) - 1).mean()
    assert found.loo_error == pytest.approx(error, rel=0.5)


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
    linear = OpSpec.make("linear", (8,), out=2)
    free = OpSpec.make("identity", (8, 4, 4))
    calibration = Calibration(slope=0.9, per_op_ms=-0.01, per_megabyte_ms=100.0)
    added = calibration.contributions_ms([linear, free, linear], np.array([0.1, 0, 0.001]))
    assert added[0] == pytest.approx(0.09 - 0.01 + 100 * weight_megabytes(linear))
    assert added[1] == 0
    cheap = Calibration(per_op_ms=-0.01).contributions_ms([linear], np.array([0.001]))
    assert cheap[0] == 0


def test_uncalibrated_is_the_plain_sum() -> None:
    linear = OpSpec.make("linear", (8,), out=2)
    np.testing.assert_array_equal(UNCALIBRATED.contributions_ms([linear], np.array([0.2])), [0.2])
    assert UNCALIBRATED.networks == 0
