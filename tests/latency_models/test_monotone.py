from __future__ import annotations

import numpy as np
import pytest

from latency_models.monotone import MonotoneBounds
from profiler.ops import OpSpec


def block(channels: int, out: int = 48, kernel: int = 3, expand: int = 3) -> OpSpec:
    return OpSpec.make("mbconv", (channels, 16, 16), out=out, kernel=kernel, expand=expand)


def clipped(measured: dict[OpSpec, float], spec: OpSpec, predicted_ms: float) -> float:
    bounds = MonotoneBounds.of("mbconv", list(measured), np.array(list(measured.values())))
    return float(bounds.clip("mbconv", [spec], np.array([predicted_ms]))[0])


MEASURED = {block(16): 1.0, block(64): 4.0}


@pytest.mark.parametrize(
    ("predicted_ms", "wanted_ms"), [(0.5, 1.0), (2.0, 2.0), (5.0, 4.0)], ids=["low", "in", "high"]
)
def test_between_two_measured_sizes_a_latency_is_between_theirs(
    predicted_ms: float, wanted_ms: float
) -> None:
    assert clipped(MEASURED, block(32), predicted_ms) == wanted_ms


def test_beyond_the_measured_sizes_one_side_is_open() -> None:
    assert clipped(MEASURED, block(128), 9.0) == 9.0
    assert clipped(MEASURED, block(128), 3.0) == 4.0


@pytest.mark.parametrize(
    "spec", [block(32, kernel=5), block(32, expand=6)], ids=["kernel", "expand"]
)
def test_ops_that_are_otherwise_unlike_bound_nothing(spec: OpSpec) -> None:
    assert clipped(MEASURED, spec, 9.0) == 9.0


def test_a_cliff_of_tiles_stays() -> None:
    # 20 channels leave a part of a register idle: they may take longer than 32 that do not.
    measured = {block(16): 1.0, block(32): 2.0}
    assert clipped(measured, block(20), 3.0) == 3.0
    assert clipped({block(20): 3.0, block(64): 4.0}, block(32), 2.0) == 2.0


def test_fewer_channels_in_and_more_out_are_not_to_be_compared() -> None:
    assert clipped({block(64, out=16): 4.0}, block(16, out=64), 9.0) == 9.0


def test_measurements_that_contradict_each_other_bound_nothing() -> None:
    assert clipped({block(16): 5.0, block(64): 4.0}, block(32), 9.0) == 9.0


def test_predictions_given_are_left_as_they_are() -> None:
    predicted = np.array([9.0])
    bounds = MonotoneBounds.of("mbconv", list(MEASURED), np.array(list(MEASURED.values())))
    bounds.clip("mbconv", [block(32)], predicted)
    assert predicted[0] == 9.0
