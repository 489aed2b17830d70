from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devices.errors import InputError, MissingEntryError, UntrustworthyError
from latency_models.base import AdditiveLatencyModel
from latency_models.calibration import TERMS, Calibration, kernel_of, weight_megabytes
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice

CROWDED = Calibration(
    constant_ms=0.1,
    slope=0.9,
    per_op_ms=0.01,
    per_megabyte_ms=0.05,
    crowding=0.3,
    pivot_crowding=(0.03, 0.24),
    pivot_megabytes=(0.1, 0.3),
    latency_low_ms=0.5,
    latency_high_ms=2.0,
    networks=20,
    sum_low_ms=0.5,
    sum_high_ms=1.5,
)
Networks = list[tuple[OpSpec, ...]]


@pytest.fixture
def plain(device: SimulatedDevice, network_ops: list[OpSpec]) -> SumModel:
    return SumModel(LookupModel(device.table(network_ops)))


@pytest.fixture
def crowded(plain: SumModel) -> SumModel:
    return SumModel(plain.op_model, CROWDED)


def errors(model: SumModel, device: SimulatedDevice, networks: Networks) -> float:
    truth = np.array([device.network_ms(ops) for ops in networks])
    return float(np.abs(model.predict_ms(networks) / truth - 1).mean())


def sums_and_megabytes(model: SumModel, networks: Networks) -> tuple[np.ndarray, np.ndarray]:
    sums = [model.op_model.predict_ms(ops).sum() for ops in networks]
    return np.array(sums), np.array([sum(map(weight_megabytes, ops)) for ops in networks])


def fit(plain: SumModel, device: SimulatedDevice, networks: Networks, *terms: str) -> SumModel:
    latencies = [sample.measured_ms for sample in device.samples(networks)]
    return plain.fit(networks, latencies, *([terms] if terms else []))


def test_uncalibrated_is_the_sum_of_the_ops(plain: SumModel, networks: Networks) -> None:
    assert not plain.is_calibrated
    assert plain.constant_ms == 0
    wanted = [plain.op_model.predict_ms(ops).sum() for ops in networks]
    np.testing.assert_allclose(plain.predict_ms(networks), wanted)


def test_calibration_beats_the_plain_sum_on_unseen_networks(
    plain: SumModel, device: SimulatedDevice, networks: Networks
) -> None:
    model = fit(plain, device, networks[:20])
    assert model.is_calibrated
    assert errors(model, device, networks[20:]) < 0.01
    assert errors(plain, device, networks[20:]) > 5 * errors(model, device, networks[20:])


def test_counting_ops_and_weights_beats_slope_and_constant_where_depth_varies(
    plain: SumModel, device: SimulatedDevice, networks: Networks
) -> None:
    whole = fit(plain, device, networks[:20])
    line = fit(plain, device, networks[:20], "sum", "constant")
    assert errors(whole, device, networks[20:]) < errors(line, device, networks[20:])


def test_a_network_is_a_constant_plus_its_contributions(
    plain: SumModel, device: SimulatedDevice, networks: Networks
) -> None:
    model = fit(plain, device, networks[:20]).near(1.0)
    assert isinstance(model, AdditiveLatencyModel)
    for ops in networks[:3]:
        contributions = model.contributions_ms(ops)
        assert (contributions >= 0).all()
        whole = model.constant_ms + contributions.sum()
        assert model.predict_ms([ops])[0] == pytest.approx(whole, rel=1e-12)


def test_skipped_blocks_cost_nothing(
    plain: SumModel, device: SimulatedDevice, networks: Networks
) -> None:
    model = fit(plain, device, networks[:20])
    free = OpSpec.make("identity", (16, 16, 16))
    ops = networks[0]
    assert model.near(1.0).contributions_ms([free])[0] == 0
    assert model.predict_ms([ops])[0] == pytest.approx(model.predict_ms([(*ops, free)])[0])


def test_crowding_is_found_where_networks_crowd_a_cache(
    device: SimulatedDevice, networks: Networks, network_ops: list[OpSpec]
) -> None:
    device = replace(device, crowding=0.5, noise=0.001)
    plain = SumModel(LookupModel(device.table(network_ops)))
    whole = fit(plain, device, networks[:40])
    additive = fit(plain, device, networks[:40], *TERMS[:4])
    assert errors(whole, device, networks[40:]) < errors(additive, device, networks[40:])


def test_a_crowded_network_takes_more_for_each_ms_and_megabyte(
    crowded: SumModel, networks: Networks
) -> None:
    uncrowded = replace(crowded, calibration=replace(CROWDED, crowding=0.0))
    sums, megabytes = sums_and_megabytes(crowded, networks)
    added = crowded.predict_ms(networks) - uncrowded.predict_ms(networks)
    np.testing.assert_allclose(added, 0.3 * sums * megabytes, atol=1e-12)


def test_near_errs_by_crowding_times_both_distances_from_its_pivot(
    crowded: SumModel, networks: Networks
) -> None:
    sums, megabytes = sums_and_megabytes(crowded, networks)
    missed = crowded.predict_ms(networks) - crowded.near(1.0).predict_ms(networks)
    np.testing.assert_allclose(missed, 0.3 * (sums - 0.9) * (megabytes - 0.4), atol=1e-12)


def test_near_of_an_additive_model_is_the_same_model(plain: SumModel) -> None:
    assert plain.near(1.0) == plain


def test_near_leaves_the_model_as_it_was(crowded: SumModel, networks: Networks) -> None:
    before = crowded.predict_ms(networks)
    near = crowded.near(1.0)
    assert near.op_model is crowded.op_model
    assert near.is_calibrated
    np.testing.assert_array_equal(crowded.predict_ms(networks), before)


def test_a_crowded_model_has_no_contributions_and_names_the_one_that_has(
    crowded: SumModel, networks: Networks
) -> None:
    with pytest.raises(InputError, match="no op has a contribution") as caught:
        crowded.contributions_ms(networks[0])
    assert "near(latency_ms)" in caught.value.hint


def test_fitting_leaves_the_model_as_it_was(
    plain: SumModel, device: SimulatedDevice, networks: Networks
) -> None:
    before = plain.predict_ms(networks)
    fit(plain, device, networks[:5])
    assert not plain.is_calibrated
    np.testing.assert_array_equal(plain.predict_ms(networks), before)


def test_three_networks_are_enough_and_two_are_not(
    plain: SumModel, device: SimulatedDevice, networks: Networks
) -> None:
    assert errors(fit(plain, device, networks[:3]), device, networks[3:]) < 0.05
    with pytest.raises(InputError, match="at least 3"):
        fit(plain, device, networks[:2])


def test_lengths_that_differ_are_refused(plain: SumModel, networks: Networks) -> None:
    with pytest.raises(InputError, match="3 networks"):
        plain.fit(networks[:3], [1.0, 2.0])


def test_an_unmeasured_op_raises(plain: SumModel, crowded: SumModel) -> None:
    for model in (plain, crowded):
        with pytest.raises(MissingEntryError):
            model.predict_ms([[OpSpec.make("linear", (99,), out=2)]])


@pytest.mark.parametrize("crowding", [0.0, 0.01])
def test_a_latency_below_nothing_is_not_reported(
    plain: SumModel, networks: Networks, crowding: float
) -> None:
    calibration = Calibration(
        -100.0, crowding=crowding, networks=3, sum_low_ms=101.0, sum_high_ms=102.0
    )
    model = SumModel(plain.op_model, calibration)
    with pytest.raises(UntrustworthyError, match="101"):
        model.predict_ms(networks[:1])


def test_no_networks_have_no_latencies(plain: SumModel, crowded: SumModel) -> None:
    for model in (plain, crowded):
        assert model.predict_ms([]).shape == (0,)


# Factors of single ops


@pytest.fixture
def often(network_ops: list[OpSpec], networks: Networks) -> OpSpec:
    """The block that most networks hold."""
    blocks = [op for op in network_ops if op.kind == "mbconv"]
    return max(blocks, key=lambda op: sum(op in ops for ops in networks))


def longer(device: SimulatedDevice, networks: Networks, often: OpSpec, by: float) -> list[float]:
    """The networks on a device where one op takes longer in them than alone."""
    return [
        device.network_ms(ops) + by * device.work_ms(often) * ops.count(often) for ops in networks
    ]


def test_an_op_that_takes_longer_in_networks_is_found(
    plain: SumModel, device: SimulatedDevice, networks: Networks, often: OpSpec
) -> None:
    factors = plain.fit(networks, longer(device, networks, often, 0.3)).calibration.op_factors
    assert factors[often.key] > 1.05
    others = [factor for key, factor in factors.items() if key != often.key]
    assert factors[often.key] > max(others)
    assert np.mean(others) == pytest.approx(1, abs=0.02)


def test_ops_that_take_what_their_table_says_keep_it(
    device: SimulatedDevice, networks: Networks, network_ops: list[OpSpec]
) -> None:
    quiet = replace(device, noise=0.0)
    plain = SumModel(LookupModel(quiet.table(network_ops)))
    model = fit(plain, quiet, networks[:20])
    np.testing.assert_allclose(list(model.calibration.op_factors.values()), 1, atol=0.02)


def test_factors_are_in_every_prediction(plain: SumModel, networks: Networks) -> None:
    op = networks[0][0]
    model = SumModel(plain.op_model, Calibration(op_factors={op.key: 1.5}))
    alone = plain.op_model.predict_ms([op])[0]
    assert model.contributions_ms([op])[0] == pytest.approx(1.5 * alone)
    more = model.predict_ms(networks) - plain.predict_ms(networks)
    counts = np.array([ops.count(op) for ops in networks])
    np.testing.assert_allclose(more, 0.5 * alone * counts, atol=1e-12)


def test_an_op_of_no_measured_network_has_no_factor(
    plain: SumModel, device: SimulatedDevice, networks: Networks, network_ops: list[OpSpec]
) -> None:
    model = fit(plain, device, networks[:3])
    unseen = next(op for op in network_ops if not any(op in ops for ops in networks[:3]))
    assert unseen.key not in model.calibration.op_factors
    rest = model.near(1.0).calibration
    wanted = rest.slope * plain.op_model.predict_ms([unseen])[0]
    wanted += rest.per_op_ms + rest.per_megabyte_ms * weight_megabytes(unseen)
    wanted += rest.kernel_ms.get(kernel_of(unseen), 0.0)
    assert model.near(1.0).contributions_ms([unseen])[0] == pytest.approx(max(wanted, 0))
