"""The table of a new device, from those of known ones and a few measured ops."""

from __future__ import annotations

import numpy as np
import pytest

from devices.errors import InputError, MissingEntryError, MissingModelError
from latency_models.base import OpLatencyModel
from latency_models.op_transfer import OpTransfer, op_features
from profiler.ops import OpSpec
from profiler.table import LatencyTable
from search.spaces.mobile import mobile_tiny

SPECS = tuple(spec for spec in mobile_tiny().all_ops() if not spec.is_free)
FREE = OpSpec.parse("identity/16x8x8/")


def table(speed: float, memory: float, seed: int, call_ms: float = 0.002) -> LatencyTable:
    """A device that follows a roofline, give or take two per cent."""
    random = np.random.default_rng(seed)
    return LatencyTable.from_ops(
        f"device{seed}",
        {
            spec: (call_ms + spec.flops / speed + spec.bytes_moved / memory)
            * (1 + 0.02 * float(random.standard_normal()))
            for spec in SPECS
        },
    )


KNOWN = [table(4e7, 4e7, 1), table(1e7, 8e7, 2), table(3e7, 1e7, 3)]
NEW = table(2e7, 3e7, 4).ops


@pytest.fixture(scope="module")
def adapted() -> OpTransfer:
    transfer = OpTransfer(KNOWN)
    return transfer.adapt({spec: NEW[spec] for spec in transfer.suggest(8)})


@pytest.mark.parametrize("tables", [KNOWN, KNOWN[2:]])
def test_a_few_ops_tell_the_others(tables: list[LatencyTable]) -> None:
    transfer = OpTransfer(tables)
    chosen = transfer.suggest(10)
    transfer.adapt({spec: NEW[spec] for spec in chosen})
    rest = [spec for spec in SPECS if spec not in chosen]
    truth = np.array([NEW[spec] for spec in rest])
    errors = np.abs(transfer.predict_ms(rest) / truth - 1)
    ratio = np.median([NEW[spec] / tables[0].ops[spec] for spec in chosen])
    scaled = np.array([tables[0].ops[spec] * ratio for spec in rest])
    assert np.median(errors) < 0.1
    assert errors.mean() < np.abs(scaled / truth - 1).mean()
    lower, upper = transfer.interval_ms(rest).T
    assert np.mean((lower <= truth) & (truth <= upper)) > 0.8


def test_it_is_a_model_of_ops(adapted: OpTransfer) -> None:
    assert isinstance(adapted, OpLatencyModel)
    assert (adapted.predict_ms(SPECS) > 0).all()
    assert adapted.predict_ms([]).shape == (0,)
    assert adapted.interval_ms([]).shape == (0, 2)


def test_a_measured_op_keeps_its_latency(adapted: OpTransfer) -> None:
    spec, latency_ms = next(iter(adapted.measured.items()))
    assert adapted.predict_ms([spec, spec]).tolist() == [latency_ms, latency_ms]


def test_a_free_op_costs_nothing(adapted: OpTransfer) -> None:
    assert adapted.predict_ms([FREE, SPECS[0]])[0] == 0
    assert adapted.interval_ms([FREE]).tolist() == [[0.0, 0.0]]
    assert FREE in adapted


def test_ops_of_one_table_are_enough() -> None:
    half = LatencyTable.from_ops("half", dict(list(KNOWN[1].ops.items())[:20]))
    transfer = OpTransfer([KNOWN[0], half])
    transfer.adapt({spec: NEW[spec] for spec in transfer.suggest(8, SPECS[:30])})
    assert len(transfer.specs) == len(SPECS)
    assert np.isfinite(transfer.predict_ms(SPECS)).all()


def test_features_have_a_row_for_every_op() -> None:
    features = op_features(SPECS)
    assert list(features.index) == [spec.key for spec in SPECS]
    assert np.isfinite(features.to_numpy()).all()
    assert features.filter(like="kind_").sum(axis=1).eq(np.log(2)).all()


def test_an_op_of_no_table_is_named(adapted: OpTransfer) -> None:
    unknown = OpSpec.parse("linear/77/out=3")
    assert unknown not in adapted
    with pytest.raises(MissingEntryError, match="linear/77/out=3 is in no table"):
        adapted.predict_ms([unknown])


def test_no_known_op_is_refused() -> None:
    with pytest.raises(InputError, match="no op is known in 1 tables"):
        OpTransfer([LatencyTable.from_ops("empty", {})])


def test_measured_ops_of_no_table_are_refused() -> None:
    with pytest.raises(InputError, match="none of the 1 measured"):
        OpTransfer(KNOWN).adapt({OpSpec.parse("linear/77/out=3"): 1.0})


def test_a_latency_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="was measured as 0"):
        OpTransfer(KNOWN).adapt({SPECS[0]: 0.0})


def test_nothing_is_predicted_before_anything_is_measured() -> None:
    with pytest.raises(MissingModelError, match="nothing was measured"):
        OpTransfer(KNOWN).predict_ms(SPECS)
