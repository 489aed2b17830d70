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
    assert first == ("measured", model.lookup.table.ops[few_blocks[0]])
    assert nothing == ("free", 0.0)
    assert last.source == "regressed"
    assert last.latency_ms == pytest.approx(device.op_ms(few_blocks[-1]), rel=0.1)


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
