from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devices.errors import MissingEntryError
from latency_models.base import OpLatencyModel
from latency_models.composite import CompositeModel
from latency_models.lookup import LookupModel
from latency_models.regressors import OpRegressors
from profiler.ops import OpSpec
from profiler.table import LatencyTable

if TYPE_CHECKING:
    from conftest import SimulatedDevice


@pytest.fixture
def model(device: SimulatedDevice, few_blocks: list[OpSpec]) -> CompositeModel:
    """A table of all blocks but the last."""
    table = device.table(few_blocks[:-1])
    regressors = OpRegressors.fit(list(table.ops), list(table.ops.values()))
    return CompositeModel(LookupModel(table), regressors)


def test_says_which_latency_was_measured_and_which_regressed(
    model: CompositeModel, device: SimulatedDevice, few_blocks: list[OpSpec]
) -> None:
    free = OpSpec.make("identity", (16, 16, 16))
    first, nothing, last = model.explain([few_blocks[0], free, few_blocks[-1]])
    assert first == ("measured", model.lookup.table.ops[few_blocks[0]], False)
    assert nothing == ("free", 0.0, False)
    assert last.source == "regressed"
    assert last.latency_ms == pytest.approx(device.op_ms(few_blocks[-1]), rel=0.1)


def test_says_what_is_extrapolated(model: CompositeModel, few_blocks: list[OpSpec]) -> None:
    beyond = OpSpec.make("mbconv", (16, 16, 16), out=40, kernel=3, expand=3)
    within = OpSpec.make("mbconv", (16, 16, 16), out=20, kernel=5, expand=4)
    found = model.explain([beyond, within, few_blocks[0]])
    assert [each.is_extrapolated for each in found] == [True, False, False]


def test_intervals_of_measured_and_of_regressed_ops(
    device: SimulatedDevice, blocks: list[OpSpec]
) -> None:
    known = [spec for i, spec in enumerate(blocks) if i % 8]
    latencies = device.table(known).ops
    table = LatencyTable.from_ops("cpu/x", latencies, relative_errors=dict.fromkeys(known, 0.01))
    regressors = OpRegressors.fit(list(latencies), list(latencies.values()))
    model = CompositeModel(LookupModel(table), regressors)
    free = OpSpec.make("identity", (16, 16, 16))
    asked = [blocks[64], blocks[1], free]
    ends = model.interval_ms(asked, 0.9)
    latencies_ms = model.predict_ms(asked)
    assert ends.shape == (3, 2)
    assert (ends[:, 0] <= latencies_ms).all()
    assert (latencies_ms <= ends[:, 1]).all()
    regressed, measured, nothing = (ends[:, 1] - ends[:, 0]).tolist()
    assert measured / latencies_ms[1] == pytest.approx(2 * 0.01 * 1.645 / 1.96, rel=1e-3)
    assert regressed / latencies_ms[0] > measured / latencies_ms[1]
    assert nothing == 0


def test_measured_ops_are_never_smoothed(model: CompositeModel, few_blocks: list[OpSpec]) -> None:
    known = few_blocks[:-1]
    np.testing.assert_array_equal(model.predict_ms(known), list(model.lookup.table.ops.values()))


def test_prices_what_it_explains(model: CompositeModel, few_blocks: list[OpSpec]) -> None:
    asked = [few_blocks[-1], few_blocks[2], few_blocks[-1]]
    np.testing.assert_array_equal(
        model.predict_ms(asked), [latency.latency_ms for latency in model.explain(asked)]
    )


def test_what_neither_knows_raises_with_both_reasons(model: CompositeModel) -> None:
    spec = OpSpec.make("mbconv", (16, 16, 16), out=16, kernel=11, expand=3)
    with pytest.raises(MissingEntryError) as caught:
        model.predict_ms([spec])
    assert spec.key in caught.value.what
    assert "nearest" in caught.value.why
    assert "kernel 11 was never measured" in caught.value.why
    assert "lutier profile" in caught.value.hint


def test_is_an_op_latency_model(model: CompositeModel) -> None:
    assert isinstance(model, OpLatencyModel)
    assert model.predict_ms([]).shape == (0,)
