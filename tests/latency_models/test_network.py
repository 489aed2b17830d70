from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devices.errors import InputError, MissingEntryError, UntrustworthyError
from latency_models.base import AdditiveLatencyModel
from latency_models.calibration import Calibration
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice

Networks = list[tuple[OpSpec, ...]]


@pytest.fixture
def plain(device: SimulatedDevice, network_ops: list[OpSpec]) -> SumModel:
    return SumModel(LookupModel(device.table(network_ops)))


def errors(model: SumModel, device: SimulatedDevice, networks: Networks) -> float:
    truth = np.array([device.network_ms(ops) for ops in networks])
    return float(np.abs(model.predict_ms(networks) / truth - 1).mean())


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
    model = fit(plain, device, networks[:20])
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
    assert model.contributions_ms([free])[0] == 0
    assert model.predict_ms([ops])[0] == pytest.approx(model.predict_ms([(*ops, free)])[0])


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


def test_an_unmeasured_op_raises(plain: SumModel) -> None:
    with pytest.raises(MissingEntryError):
        plain.predict_ms([[OpSpec.make("linear", (99,), out=2)]])


def test_a_latency_below_nothing_is_not_reported(plain: SumModel, networks: Networks) -> None:
    model = SumModel(
        plain.op_model, Calibration(-100.0, networks=3, sum_low_ms=101.0, sum_high_ms=102.0)
    )
    with pytest.raises(UntrustworthyError, match="101"):
        model.predict_ms(networks[:1])


def test_no_networks_have_no_latencies(plain: SumModel) -> None:
    assert plain.predict_ms([]).shape == (0,)
