from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devices.errors import InputError, MissingEntryError
from latency_models.base import OpLatencyModel
from latency_models.regressors import KindRegressor, OpRegressors
from latency_models.selection import OpData
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice


def measured(device: SimulatedDevice, specs: list[OpSpec]) -> list[float]:
    return list(device.table(specs).ops.values())


def test_held_out_ops_come_within_a_tenth(device: SimulatedDevice, blocks: list[OpSpec]) -> None:
    order = np.random.default_rng(0).permutation(len(blocks))
    train, test = [blocks[i] for i in order[:100]], [blocks[i] for i in order[100:]]
    regressors = OpRegressors.fit(train, measured(device, train), seed=0)
    truth = np.array([device.op_ms(spec) for spec in test])
    errors = np.abs(regressors.predict_ms(test) / truth - 1)
    assert np.median(errors) < 0.03
    assert errors.max() < 0.10
    scores = {score.held_out: score for score in regressors.scores_["mbconv"]}
    assert set(scores) == {"shapes", "channels", "resolutions"}
    for score in scores.values():
        assert score.n + score.refused == 100
        assert score.median_error < 0.10


def test_a_kind_with_few_measured_ops_is_not_regressed(
    device: SimulatedDevice, few_blocks: list[OpSpec]
) -> None:
    conv = OpSpec.make("conv", (3, 32, 32), out=16, kernel=3)
    specs = [*few_blocks, conv]
    regressors = OpRegressors.fit(specs, measured(device, specs))
    assert set(regressors.by_kind) == {"mbconv"}
    with pytest.raises(MissingEntryError, match="1 ops of kind conv were measured") as caught:
        regressors.predict_ms([conv])
    assert conv.key in caught.value.hint


def test_a_kernel_that_was_never_measured_is_refused_not_made_up(
    device: SimulatedDevice, few_blocks: list[OpSpec]
) -> None:
    regressors = OpRegressors.fit(few_blocks, measured(device, few_blocks))
    spec = OpSpec.make("mbconv", (16, 16, 16), out=16, kernel=9, expand=3)
    with pytest.raises(MissingEntryError, match="kernel 9 was never measured"):
        regressors.predict_ms([spec])


def test_free_ops_cost_nothing(device: SimulatedDevice, few_blocks: list[OpSpec]) -> None:
    regressors = OpRegressors.fit(few_blocks, measured(device, few_blocks))
    free = OpSpec.make("identity", (16, 16, 16))
    predicted = regressors.predict_ms([few_blocks[0], free])
    assert predicted[0] > 0
    assert predicted[1] == 0


def test_kinds_are_kept_apart(device: SimulatedDevice, few_blocks: list[OpSpec]) -> None:
    linears = [OpSpec.make("linear", (8 * i,), out=10) for i in range(1, 13)]
    specs = [*linears, *few_blocks]
    regressors = OpRegressors.fit(specs, measured(device, specs))
    mixed = [few_blocks[3], linears[5], few_blocks[0]]
    truth = [device.op_ms(spec) for spec in mixed]
    np.testing.assert_allclose(regressors.predict_ms(mixed), truth, rtol=0.05)


def test_one_shape_cannot_be_cross_validated(
    device: SimulatedDevice, few_blocks: list[OpSpec]
) -> None:
    alike = [
        OpSpec.make("mbconv", (16, 16, 16), out=16, kernel=kernel, expand=expand)
        for kernel in (3, 5, 7)
        for expand in (2, 3, 6)
    ]
    regressors = OpRegressors.fit(alike, measured(device, alike))
    assert regressors.scores_ == {}
    assert regressors.by_kind["mbconv"].name == "process"
    assert set(regressors.by_kind) == {"mbconv"}


def test_same_seed_gives_the_same_regressors(
    device: SimulatedDevice, few_blocks: list[OpSpec]
) -> None:
    latencies = measured(device, few_blocks)
    first, second = (OpRegressors.fit(few_blocks, latencies, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.predict_ms(few_blocks), second.predict_ms(few_blocks))


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_a_latency_that_cannot_be_is_refused(latency_ms: float, few_blocks: list[OpSpec]) -> None:
    with pytest.raises(InputError, match="not a positive latency"):
        OpRegressors.fit(few_blocks[:1], [latency_ms])


def test_an_op_given_twice_or_without_latency_is_refused(few_blocks: list[OpSpec]) -> None:
    with pytest.raises(InputError, match="twice"):
        OpRegressors.fit([few_blocks[0]] * 2, [1.0, 1.0])
    with pytest.raises(InputError, match="2 ops with latencies"):
        OpRegressors.fit(few_blocks[:2], [1.0])


def test_is_an_op_latency_model_even_of_nothing() -> None:
    regressors = OpRegressors.fit([], [])
    assert isinstance(regressors, OpLatencyModel)
    assert regressors.predict_ms([]).shape == (0,)


def test_latencies_that_are_all_equal_are_predicted_as_they_are(blocks: list[OpSpec]) -> None:
    known = [spec for i, spec in enumerate(blocks) if i % 4]
    regressors = OpRegressors.fit(known, [0.5] * len(known))
    np.testing.assert_allclose(regressors.predict_ms(blocks[::4]), 0.5, rtol=0.02)


def test_one_row_is_no_regressor_and_says_so(few_blocks: list[OpSpec]) -> None:
    regressors = OpRegressors.fit(few_blocks[:1], [1.0])
    with pytest.raises(MissingEntryError, match="1 ops of kind mbconv were measured"):
        regressors.predict_ms([few_blocks[1]])


def test_a_slower_prediction_for_a_smaller_op_is_brought_back(
    device: SimulatedDevice, blocks: list[OpSpec]
) -> None:
    latencies = np.array(measured(device, blocks))
    data = OpData.of("mbconv", blocks, latencies)
    regressor = KindRegressor.fit_chosen(data, "linear", 0)
    wild = replace(regressor, estimator=Wild())
    asked = [OpSpec.make("mbconv", (24, 16, 16), out=24, kernel=5, expand=3)]
    assert wild.predict_ms(asked)[0] == 1e9
    bounded = [OpSpec.make("mbconv", (16, 16, 16), out=16, kernel=5, expand=3)]
    truth = latencies[blocks.index(bounded[0])]
    assert wild.predict_ms(bounded)[0] == truth


class Wild:
    """A regressor that says the same of everything, and far too much."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), 1e9)


def test_intervals_are_as_wide_as_errors_on_shapes_held_out(
    device: SimulatedDevice, blocks: list[OpSpec]
) -> None:
    known = [spec for i, spec in enumerate(blocks) if i % 8]
    regressors = OpRegressors.fit(known, measured(device, known))
    asked = blocks[::8]
    truth = np.array([device.op_ms(spec) for spec in asked])
    low, high = regressors.interval_ms(asked, 0.9).T
    assert np.mean((low <= truth) & (truth <= high)) > 0.8
    assert (high / low).max() < 2
