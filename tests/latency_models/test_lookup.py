from __future__ import annotations

import numpy as np
import pytest

from devices.errors import InputError, MissingEntryError
from latency_models.base import OpLatencyModel
from latency_models.lookup import LookupModel
from profiler.ops import OpSpec
from profiler.table import LatencyTable

CONV = OpSpec.make("conv", (3, 32, 32), out=16, kernel=3, stride=2)
FREE = OpSpec.make("identity", (16, 16, 16))
TABLE = LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 0.25})


def test_answers_what_was_measured_and_nothing_for_free_ops() -> None:
    np.testing.assert_array_equal(LookupModel(TABLE).predict_ms([FREE, CONV, FREE]), [0, 0.25, 0])


def test_an_op_that_was_not_measured_raises_with_the_nearest_and_the_command() -> None:
    other = OpSpec.make("conv", (3, 32, 32), out=24, kernel=3, stride=2)
    with pytest.raises(MissingEntryError) as caught:
        LookupModel(TABLE).predict_ms([CONV, other])
    assert CONV.key in str(caught.value)
    assert "lutier profile" in caught.value.hint


def test_an_interval_is_as_wide_as_was_measured() -> None:
    table = LatencyTable.from_ops("cpu/x", {CONV: 0.25}, relative_errors={CONV: 0.02})
    ends = LookupModel(table).interval_ms([FREE, CONV], 0.95)
    np.testing.assert_allclose(ends, [[0, 0], [0.245, 0.255]])
    wider = LookupModel(table).interval_ms([CONV], 0.99)
    assert wider[0, 0] < 0.245 < 0.255 < wider[0, 1]


def test_an_interval_that_was_not_measured_is_not_made_up() -> None:
    assert np.isnan(LookupModel(TABLE).interval_ms([CONV])).all()


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0])
def test_a_coverage_that_cannot_be_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        LookupModel(TABLE).interval_ms([CONV], coverage)


def test_says_what_it_holds() -> None:
    model = LookupModel(TABLE)
    assert CONV in model
    assert FREE in model
    assert OpSpec.make("linear", (8,), out=2) not in model


def test_is_an_op_latency_model_and_prices_nothing_as_nothing() -> None:
    model = LookupModel(TABLE)
    assert isinstance(model, OpLatencyModel)
    assert model.predict_ms([]).shape == (0,)
