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
    Rows,
    calibrate,
    kernel_of,
    weight_megabytes,
)
from profiler.ops import OpSpec

Array = npt.NDArray[np.float64]

LINEAR = OpSpec.make("linear", (8,), out=2)
FREE = OpSpec.make("identity", (8, 4, 4))
WIDE = OpSpec.make("mbconv", (8, 8, 8), out=8, kernel=7, stride=1, expand=3)
KERNEL = "mbconv/kernel=7"
CROWDED = Calibration(
    constant_ms=0.1,
    slope=0.9,
    per_op_ms=0.01,
    per_megabyte_ms=0.05,
    crowding=0.02,
    kernel_ms={KERNEL: 0.02},
    kernel_crowding={KERNEL: 0.003},
    pivot_crowding=(0.01, 0.02),
    pivot_megabytes=(0.5, 0.4),
    latency_low_ms=1.0,
    latency_high_ms=4.0,
    networks=20,
)


def rows_of(count: int, seed: int = 0) -> Rows:
    """Networks of 8 to 20 ops that take 1 to 3 ms and hold 1 to 5 MB, all independent."""
    g = np.random.default_rng(seed)
    sums, nodes, megabytes = (
        g.uniform(1, 3, count),
        g.integers(8, 21, count),
        g.uniform(1, 5, count),
    )
    return rows_from(sums, nodes, megabytes)


def rows_from(sums: Array, nodes: Array | float, megabytes: Array) -> Rows:
    """The rows of networks with these sums, ops and megabytes of weights."""
    return Rows(sums, np.broadcast_to(nodes, sums.shape).astype(float), megabytes)


def law(rows: Rows, *terms: float) -> Array:
    """Constant, slope, ops after the first, megabytes, sum times megabytes."""
    columns = (1.0, rows.sums_ms, rows.nodes - 1, rows.megabytes, rows.sums_ms * rows.megabytes)
    return np.array(sum(term * column for term, column in zip(terms, columns, strict=True)))


def predicted(found: Calibration, rows: Rows) -> Array:
    """What a calibration without factors says of rows, by the formula of the module."""
    alone = found.constant_ms + found.slope * rows.sums_ms + found.per_op_ms * rows.nodes
    alone = alone + found.per_megabyte_ms * rows.megabytes
    crowded = found.crowding * rows.sums_ms
    for kernel, count in rows.kernels.items():
        alone = alone + found.kernel_ms.get(kernel, 0.0) * count
        crowded = crowded + found.kernel_crowding.get(kernel, 0.0) * count
    return np.array(alone + rows.megabytes * crowded)


def test_rows_hold_sum_ops_weights_and_kernels_and_nothing_of_free_ops() -> None:
    rows = Rows.of([[LINEAR, FREE, LINEAR, WIDE], [WIDE]], {LINEAR: 0.1, FREE: 9.0, WIDE: 0.3})
    np.testing.assert_allclose(rows.sums_ms, [0.5, 0.3])
    np.testing.assert_array_equal(rows.nodes, [3, 1])
    linear, wide = weight_megabytes(LINEAR), weight_megabytes(WIDE)
    assert 0 < linear < wide
    np.testing.assert_allclose(rows.megabytes, [2 * linear + wide, wide])
    assert {name: count.tolist() for name, count in rows.kernels.items()} == {
        "linear": [2, 0],
        KERNEL: [1, 1],
    }


def test_a_kernel_is_the_kind_and_the_size_where_there_is_one() -> None:
    assert kernel_of(LINEAR) == "linear"
    assert kernel_of(WIDE) == KERNEL


@pytest.mark.parametrize("crowding", [0.0, 0.02, -0.02])
def test_finds_every_term_of_an_exact_law(crowding: float) -> None:
    rows = rows_of(60)
    found = calibrate(rows, law(rows, 0.05, 0.9, -0.01, 0.04, crowding))
    assert found.crowding == pytest.approx(crowding, abs=0.001)
    assert found.slope == pytest.approx(0.9, abs=0.02)
    assert found.per_op_ms == pytest.approx(-0.01, abs=0.002)
    assert found.per_megabyte_ms == pytest.approx(0.04, abs=0.003)
    # The first op's call is the network's own, so its share is in the constant.
    assert found.constant_ms + found.per_op_ms == pytest.approx(0.05, abs=0.03)
    assert found.loo_error == pytest.approx(0, abs=0.005)


def test_a_mismeasured_network_hardly_counts() -> None:
    rows = rows_of(20)
    measured = rows.sums_ms * 0.9
    measured[3] *= 2
    clean = np.arange(20) != 3
    found = calibrate(rows, measured)
    assert np.abs(predicted(found, rows) / measured - 1)[clean].max() < 0.02


def test_networks_that_hardly_differ_do_not_tear_slope_and_constant_apart() -> None:
    sums = np.random.default_rng(1).uniform(1.99, 2.01, 20)
    rows = rows_from(sums, 13, np.full(20, 3.0))
    noise = np.random.default_rng(2).normal(1, 0.02, 20)
    found = calibrate(rows, 1.1 * rows.sums_ms * noise)
    assert found.is_narrow
    assert 0.8 < found.slope < 1.4
    assert abs(found.constant_ms) < 0.5
    assert abs(found.crowding * rows.sums_ms * rows.megabytes).max() < 0.5


def test_networks_that_differ_are_not_called_narrow() -> None:
    rows = rows_of(20)
    found = calibrate(rows, rows.sums_ms)
    assert not found.is_narrow
    assert (found.sum_low_ms, found.sum_high_ms) == (rows.sums_ms.min(), rows.sums_ms.max())


def test_a_term_that_is_left_out_stays_as_it_was() -> None:
    rows = rows_of(20)
    found = calibrate(rows, 1.2 * rows.sums_ms, terms=("sum",))
    assert found.slope == pytest.approx(1.2, rel=1e-3)
    assert (found.constant_ms, found.per_op_ms, found.per_megabyte_ms) == (0, 0, 0)
    assert found.crowding == 0


def test_without_the_term_of_crowding_a_calibration_is_additive() -> None:
    rows = rows_of(20)
    measured = law(rows, 0.05, 0.9, -0.01, 0.04, 0.02)
    assert not calibrate(rows, measured).is_additive
    assert calibrate(rows, measured, terms=TERMS[:4]).is_additive


def test_terms_that_never_occur_are_left_out() -> None:
    rows = rows_from(rows_of(10).sums_ms, 1, np.zeros(10))
    found = calibrate(rows, 1.2 * rows.sums_ms)
    assert (found.per_op_ms, found.per_megabyte_ms, found.crowding) == (0, 0, 0)


def test_leave_one_out_error_tells_the_error_on_new_networks() -> None:
    def measure(rows: Rows, seed: int) -> Array:
        noise = np.random.default_rng(seed).normal(1, 0.03, len(rows.nodes))
        return (law(rows, 0.05, 0.9, -0.01, 0.04, 0.02)) * noise

    told, errors = [], []
    for seed in range(0, 120, 4):
        train, test = rows_of(20, seed=seed), rows_of(400, seed=seed + 1)
        found = calibrate(train, measure(train, seed + 2))
        told.append(found.loo_error)
        errors.append(np.abs(predicted(found, test) / measure(test, seed + 3) - 1).mean())
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
    assert np.isfinite([found.crowding, *found.pivot_crowding, *found.pivot_megabytes]).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_networks_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="at least 3"):
        calibrate(rows_of(count), np.ones(count))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_latency_or_sum_that_cannot_be_is_refused(bad: float) -> None:
    rows, measured = rows_of(3), np.ones(3)
    with pytest.raises(InputError, match="measured latency"):
        calibrate(rows, np.array([1.0, bad, 1.0]))
    rows.sums_ms[0] = bad
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
    np.testing.assert_array_equal(predicted(UNCALIBRATED, rows), rows.sums_ms)
    parts = UNCALIBRATED.parts_of([LINEAR, WIDE], np.array([0.2, 0.3]))
    np.testing.assert_array_equal(UNCALIBRATED.predict_ms(parts), [0.2, 0.3])
    assert UNCALIBRATED.networks == 0


def test_a_prediction_is_the_formula_with_the_first_op_in_the_constant() -> None:
    network = [LINEAR, FREE, WIDE, WIDE]
    latencies = {LINEAR: 0.2, FREE: 0.0, WIDE: 0.5}
    parts = CROWDED.parts_of(network, np.array([latencies[op] for op in network]))
    np.testing.assert_array_equal(parts[1], 0)
    found = CROWDED.predict_ms(parts.sum(axis=0)[None])
    megabytes = weight_megabytes(LINEAR) + 2 * weight_megabytes(WIDE)
    wanted = 0.1 + 0.9 * 1.2 + 0.01 * 3 + 0.05 * megabytes + 0.02 * 2
    wanted += megabytes * (0.02 * 1.2 + 0.003 * 2)
    assert found == pytest.approx([wanted])
    np.testing.assert_allclose(found, predicted(CROWDED, Rows.of([network], latencies)))


def test_an_op_of_a_kernel_that_was_not_there_has_no_term_of_it() -> None:
    other = OpSpec.make("mbconv", (8, 8, 8), out=8, kernel=5, stride=1, expand=3)
    calibration = Calibration(kernel_ms={KERNEL: 0.02}, kernel_crowding={KERNEL: 0.003})
    parts = calibration.parts_of([other, WIDE], np.array([0.2, 0.2]))
    np.testing.assert_allclose(parts[:, 0], [0.2, 0.22])
    np.testing.assert_allclose(parts[:, 2], [0.0, 0.003])


def test_finds_what_a_kernel_adds_and_how_it_is_crowded() -> None:
    g = np.random.default_rng(3)
    kernels = {name: g.integers(0, 8, 60).astype(float) for name in ("a", KERNEL)}
    plain = rows_of(60)
    rows = Rows(plain.sums_ms, plain.nodes, plain.megabytes, kernels)
    measured = rows.sums_ms + kernels[KERNEL] * (0.03 + 0.01 * rows.megabytes)
    found = calibrate(rows, measured)
    assert found.kernel_ms[KERNEL] == pytest.approx(0.03, abs=0.01)
    assert found.kernel_crowding[KERNEL] == pytest.approx(0.01, abs=0.003)
    assert found.kernel_crowding["a"] == pytest.approx(0, abs=0.003)
    assert not found.is_additive
    without = calibrate(rows, measured, terms=TERMS[:5])
    assert (without.kernel_ms, without.kernel_crowding) == ({}, {})
    errors = [np.abs(predicted(each, rows) / measured - 1).mean() for each in (found, without)]
    assert errors[0] < errors[1] / 3


def test_a_crowded_calibration_has_no_contributions_and_names_what_has() -> None:
    with pytest.raises(InputError, match="no op has a contribution") as caught:
        CROWDED.contributions_ms([LINEAR], np.array([0.2]))
    assert "near(latency_ms)" in caught.value.hint


def rows_with_kernels(count: int) -> Rows:
    plain, g = rows_of(count), np.random.default_rng(1)
    kernels = {KERNEL: g.integers(0, 8, count).astype(float)}
    return Rows(plain.sums_ms, plain.nodes, plain.megabytes, kernels)


@pytest.mark.parametrize("latency_ms", [1.0, 2.5, 4.0])
def test_near_equals_the_calibration_at_its_pivot(latency_ms: float) -> None:
    # Three ops of the kernel, and the sum that gives the crowding of the pivot.
    sums = np.array([(0.01 + 0.02 * latency_ms - 3 * 0.003) / 0.02])
    megabytes = np.array([0.5 + 0.4 * latency_ms])
    near = CROWDED.near(latency_ms)
    assert near.is_additive
    for nodes in (1.0, 12.0):
        rows = Rows(sums, np.array([nodes]), megabytes, {KERNEL: np.array([3.0])})
        np.testing.assert_allclose(predicted(near, rows), predicted(CROWDED, rows), rtol=1e-12)


def test_near_errs_by_both_distances_from_its_pivot() -> None:
    rows = rows_with_kernels(20)
    missed = predicted(CROWDED, rows) - predicted(CROWDED.near(2.0), rows)
    crowding = 0.02 * rows.sums_ms + 0.003 * rows.kernels[KERNEL]
    np.testing.assert_allclose(missed, (crowding - 0.05) * (rows.megabytes - 1.3), atol=1e-12)


def test_near_of_an_additive_calibration_is_itself() -> None:
    additive = Calibration(0.1, 0.9, latency_low_ms=1.0, latency_high_ms=4.0, networks=20)
    assert additive.near(2.0) is additive
    assert UNCALIBRATED.near(2.0) is UNCALIBRATED


def test_near_has_contributions_that_add_up() -> None:
    near = CROWDED.near(2.0)
    alone = np.array([0.4, 0, 0.3, 0.2])
    network = [LINEAR, FREE, LINEAR, WIDE]
    whole = near.constant_ms + near.contributions_ms(network, alone).sum()
    parts = near.parts_of(network, alone).sum(axis=0)[None]
    assert near.predict_ms(parts) == pytest.approx([whole], rel=1e-12)


def test_beyond_the_latencies_it_was_fitted_to_near_is_at_the_nearest() -> None:
    assert CROWDED.near(0.1) == CROWDED.near(1.0)
    assert CROWDED.near(100.0) == CROWDED.near(4.0)
    assert CROWDED.near(1.0) != CROWDED.near(1.5) != CROWDED.near(4.0)


def test_pivots_are_the_lines_of_crowding_and_weights_against_latency() -> None:
    latencies = np.linspace(1, 4, 12)
    rows = rows_from(0.1 + 0.8 * latencies, 11, 0.5 + 0.4 * latencies)
    found = calibrate(rows, latencies)
    wanted = (0.1 * found.crowding, 0.8 * found.crowding)
    assert found.pivot_crowding == pytest.approx(wanted)
    assert found.pivot_megabytes == pytest.approx((0.5, 0.4))
    assert (found.latency_low_ms, found.latency_high_ms) == (1, 4)


def test_pivots_of_networks_of_one_latency_are_their_means() -> None:
    rows = rows_of(10)
    found = calibrate(rows, np.full(10, 2.0))
    assert found.pivot_crowding == pytest.approx((found.crowding * rows.sums_ms.mean(), 0))
    assert found.pivot_megabytes == pytest.approx((rows.megabytes.mean(), 0))
