from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devices.errors import InputError, MissingEntryError, UntrustworthyError
from latency_models.base import AdditiveLatencyModel
from latency_models.fit import (
    CALIBRATION_NETWORKS,
    FittedModel,
    NetworkSample,
    fit_latency_model,
)
from latency_models.regressors import OpRegressors
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice

Networks = list[tuple[OpSpec, ...]]


@pytest.fixture(scope="module", autouse=True)
def regressors_are_fitted_once() -> Iterator[None]:
    """Regressors of the same ops are the same: what is tested here is what is made of them."""
    known: dict[object, OpRegressors] = {}

    def fit(specs: list[OpSpec], latencies_ms: list[float], **options: int) -> OpRegressors:
        key = (tuple(specs), tuple(latencies_ms))
        if key not in known:
            known[key] = original(specs, latencies_ms, **options)
        return known[key]

    original = OpRegressors.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpRegressors, "fit", fit)
        yield


@pytest.fixture(scope="module")
def fitted(networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]) -> FittedModel:
    return fit_latency_model(
        device.table(network_ops), device.samples(networks), seed=0, space="simulated"
    )


def test_unseen_networks_are_predicted_near_the_noise(fitted: FittedModel) -> None:
    assert fitted.evaluation.mape < 0.02
    assert fitted.evaluation.spearman > 0.98
    assert fitted.uncalibrated.mape > 5 * fitted.evaluation.mape


def test_few_networks_are_split_two_to_one(
    device: SimulatedDevice, network_ops: list[OpSpec], networks: Networks
) -> None:
    fitted = fit_latency_model(device.table(network_ops), device.samples(networks[:30]))
    assert (len(fitted.calibration), len(fitted.held_out)) == (20, 10)


def test_calibration_and_held_out_networks_are_disjoint_and_complete(
    fitted: FittedModel, networks: Networks
) -> None:
    assert len(fitted.calibration) == CALIBRATION_NETWORKS
    assert fitted.evaluation.n == len(fitted.held_out) == len(networks) - CALIBRATION_NETWORKS
    assert not set(fitted.calibration) & set(fitted.held_out)


def test_says_where_it_is_from(
    fitted: FittedModel, networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    metadata = fitted.metadata
    assert (metadata.target, metadata.space, metadata.seed) == (device.target, "simulated", 0)
    assert metadata.table_digest == device.table(network_ops).digest
    assert metadata.split_half_error == pytest.approx(0.01)
    assert isinstance(fitted.model.near(1.0), AdditiveLatencyModel)
    assert all(score.median_error < 0.1 for score in fitted.scores["mbconv"])
    assert set(fitted.regressor_names) == set(fitted.scores)


def test_figures_are_those_of_the_model(fitted: FittedModel, networks: Networks) -> None:
    by_id = {f"simulated:{i}": ops for i, ops in enumerate(networks)}
    figure = fitted.metadata.held_out[0]
    predicted = fitted.model.predict_ms([by_id[figure.id]])[0]
    assert figure.predicted_ms == pytest.approx(predicted)
    assert figure.sum_ms == pytest.approx(fitted.model.op_model.predict_ms(by_id[figure.id]).sum())


def test_intervals_hold_of_networks_that_were_never_seen(
    device: SimulatedDevice, networks: Networks, network_ops: list[OpSpec]
) -> None:
    table, samples = device.table(network_ops), device.samples(networks)
    within = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(samples))
        known, unseen = ([samples[i] for i in rows] for rows in (order[:40], order[40:]))
        fitted = fit_latency_model(table, known, calibration=25, seed=seed)
        low, high = fitted.model.interval_ms([one.ops for one in unseen], 0.9).T
        measured = np.array([one.measured_ms for one in unseen])
        within += ((low <= measured) & (measured <= high)).tolist()
    assert 0.84 < np.mean(within) < 0.97


def test_the_coverage_is_that_of_held_out_networks(fitted: FittedModel) -> None:
    assert fitted.metadata.coverage is not None
    assert 0.6 < fitted.metadata.coverage <= 1
    assert len(fitted.model.errors) == 60


def test_of_few_networks_no_interval_is_given(
    device: SimulatedDevice, networks: Networks, network_ops: list[OpSpec]
) -> None:
    few = device.samples(networks)[:5]
    fitted = fit_latency_model(device.table(network_ops), few, calibration=3, seed=0)
    assert fitted.metadata.coverage is None
    with pytest.raises(UntrustworthyError, match="2 samples only, 9 are needed"):
        fitted.model.interval_ms([few[0].ops], 0.9)


def test_the_seed_decides_the_split(
    fitted: FittedModel, networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table, samples = device.table(network_ops), device.samples(networks)
    again = fit_latency_model(table, samples, seed=0, space="simulated")
    other = fit_latency_model(table, samples, seed=1, space="simulated")
    assert again.metadata == fitted.metadata
    assert set(other.calibration) != set(fitted.calibration)


def test_an_op_missing_from_the_table_is_regressed(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    ops = network_ops
    dropped = next(op for op in ops if op.kind == "mbconv" and op["kernel"] == 5)
    table = device.table([op for op in ops if op != dropped])
    fitted = fit_latency_model(table, device.samples(networks), seed=0)
    assert fitted.evaluation.mape < 0.03
    holding = [device.network_ms(ops) for ops in networks if dropped in ops]
    model = fitted.model.near(float(np.median(holding)))
    contribution = model.contributions_ms([dropped])[0]
    assert contribution == pytest.approx(device.work_ms(dropped), rel=0.2)


def test_an_op_that_cannot_be_regressed_raises(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table = device.table([op for op in network_ops if op.kind != "linear"])
    with pytest.raises(MissingEntryError, match="linear"):
        fit_latency_model(table, device.samples(networks), seed=0)


def test_networks_that_run_the_same_ops_stay_on_one_side(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    free = OpSpec.make("identity", (16, 16, 16))
    samples = device.samples(networks[:12])
    twins = [replace(s, id=f"{s.id}-twin", ops=(s.ops[0], free, *s.ops[1:])) for s in samples]
    fitted = fit_latency_model(device.table(network_ops), samples + twins, calibration=10, seed=0)
    assert len(fitted.held_out) == 14
    for one in fitted.held_out:
        assert one.removesuffix("-twin") not in fitted.calibration
        assert f"{one}-twin" not in fitted.calibration


def carriers_of(samples: list[NetworkSample]) -> list[NetworkSample]:
    return [replace(sample, id=f"carrier/{sample.id}") for sample in samples]


def test_carriers_are_calibrated_on_and_never_held_out(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table, samples = device.table(network_ops), device.samples(networks)
    carriers = carriers_of(samples[:12])
    without = fit_latency_model(table, samples[12:], seed=0)
    found = fit_latency_model(table, samples[12:], carriers=carriers, seed=0)
    assert found.calibration == (*without.calibration, *(carrier.id for carrier in carriers))
    assert found.held_out == without.held_out
    assert found.model.calibration.networks == len(without.calibration) + 12


def test_what_carriers_take_counts(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table, samples = device.table(network_ops), device.samples(networks)
    carriers = carriers_of(samples[:12])
    slower = [replace(one, measured_ms=1.1 * one.measured_ms) for one in carriers]
    here, there = (
        fit_latency_model(table, samples[12:], carriers=each, calibration=3, seed=0)
        for each in (carriers, slower)
    )
    assert here.held_out == there.held_out
    assert there.evaluation.bias > here.evaluation.bias + 0.03


def test_a_network_that_runs_the_ops_of_a_carrier_is_not_held_out(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    free = OpSpec.make("identity", (16, 16, 16))
    samples = device.samples(networks)
    twins = [replace(s, ops=(s.ops[0], free, *s.ops[1:])) for s in samples[:12]]
    fitted = fit_latency_model(
        device.table(network_ops), samples, carriers=carriers_of(twins), seed=0
    )
    assert not {sample.id for sample in twins} & set(fitted.held_out)
    assert len(fitted.calibration) + len(fitted.held_out) == len(samples) + len(twins)


def test_none_left_to_test_on_is_refused(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table, samples = device.table(network_ops), device.samples(networks[:20])
    with pytest.raises(InputError, match="leave none to test on"):
        fit_latency_model(table, samples, calibration=20)
    with pytest.raises(InputError, match="needs 3 or more"):
        fit_latency_model(table, samples, calibration=2)


def test_regressors_that_are_there_are_taken_and_only_those_of_the_seed(
    fitted: FittedModel, networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table, samples = device.table(network_ops), device.samples(networks)
    again = fit_latency_model(table, samples, space="simulated", regressors=fitted.regressors)
    assert again.regressors is fitted.regressors
    assert again.metadata == fitted.metadata
    with pytest.raises(InputError, match="regressors of seed 0: the model is of seed 1"):
        fit_latency_model(table, samples, seed=1, regressors=fitted.regressors)


def test_an_id_given_twice_is_refused(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    samples = device.samples(networks[:10])
    with pytest.raises(InputError, match="simulated:0 is given twice"):
        fit_latency_model(device.table(network_ops), [*samples, samples[0]], calibration=3)
    with pytest.raises(InputError, match="simulated:0 is given twice"):
        fit_latency_model(device.table(network_ops), samples, carriers=samples[:1], calibration=3)


def test_one_mismeasured_network_does_not_spoil_the_model(
    networks: Networks, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    table = device.table(network_ops)
    clean = fit_latency_model(table, device.samples(networks), seed=0)
    victim = clean.calibration[0]
    samples = [
        NetworkSample(s.id, s.ops, s.measured_ms * (2 if s.id == victim else 1))
        for s in device.samples(networks)
    ]
    spoiled = fit_latency_model(table, samples, seed=0)
    np.testing.assert_allclose(spoiled.evaluation.mape, clean.evaluation.mape, atol=0.01)
