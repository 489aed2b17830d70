"""From a sum of kernels to a network: what is left is found, and never invented."""

from __future__ import annotations

import numpy as np
import pytest

from devices.errors import InputError
from latency_models.base import FloatArray
from latency_models.kernel_calibration import (
    Crowding,
    KernelCalibration,
    KernelRows,
    calibrate_kernels,
)
from profiler.kernels import KernelSpec

MB = 10**6
FILES = {4 * MB: 0.04, 8 * MB: 0.08, 16 * MB: 0.32, 32 * MB: 0.96, 64 * MB: 1.9}
CROWDING = Crowding.of(FILES)


def rows(count: int, generator: np.random.Generator) -> KernelRows:
    sums = generator.uniform(0.3, 3.0, count)
    kernels = generator.integers(20, 200, count).astype(float)
    return KernelRows(
        sums, kernels, generator.uniform(1, 60, count) * MB, np.zeros(count), CROWDING
    )


def crowding_ms(found: KernelRows) -> FloatArray:
    return CROWDING.cost_ms(found.weight_bytes)


def test_weights_cost_nothing_besides_while_a_cache_holds_them() -> None:
    assert CROWDING.cost_ms(np.array([2.0 * MB, 8.0 * MB])) == pytest.approx([0, 0])


def test_weights_cost_what_files_of_as_many_cost_besides() -> None:
    costs = CROWDING.cost_ms(np.array([16.0, 24.0, 32.0, 200.0]) * MB)
    # 20 us a MB instead of 10; between 20 and 30; 30; and 30 for ever, though 64 MB took less.
    assert costs == pytest.approx([0.16, 24 * 0.015, 32 * 0.02, 200 * 0.02])


def test_room_moves_a_network_along_the_files_and_adds_no_weights() -> None:
    (cost,) = CROWDING.cost_ms(np.array([8.0 * MB]), room=2.0)
    assert cost == pytest.approx(8 * 0.01)


def test_a_byte_costs_a_product_what_files_of_products_cost() -> None:
    crowding = Crowding.of(FILES, {4 * MB: 0.04, 60 * MB: 0.6 + 60 * 0.005})
    assert crowding.product_share == pytest.approx(0.25)
    weights, products = np.array([32.0 * MB] * 2), np.array([0.0, 32.0 * MB])
    assert crowding.cost_ms(weights, 1.0, products) == pytest.approx([32 * 0.02, 32 * 0.005])


def test_without_files_weights_cost_nothing_besides() -> None:
    assert Crowding.of({}).cost_ms(np.array([1e9])) == pytest.approx([0.0])


def test_rows_count_kernels_and_their_weights() -> None:
    small = KernelSpec.parse("onnxruntime/onnx:Relu:14/1x8>1x8/")
    large = KernelSpec.parse("onnxruntime/onnx:Gemm:13/1x4000,w1000x4000>1x1000/transB=1")
    found = KernelRows.of([[small, large, large], []], [1.0, 0.0], CROWDING)
    assert found.kernels.tolist() == [3, 0]
    assert found.weight_bytes.tolist() == found.product_bytes.tolist() == [32 * MB, 0]
    assert found.columns(1.0)[:, 3] == pytest.approx(crowding_ms(found))


def test_without_networks_it_is_the_plain_sum_and_the_crowding() -> None:
    some = rows(3, np.random.default_rng(0))
    empty = KernelRows.of([], [], CROWDING)
    found = calibrate_kernels(empty, np.zeros(0))
    assert found == KernelCalibration()
    assert found.predict_ms(some) == pytest.approx(some.sums_ms + crowding_ms(some))


@pytest.mark.parametrize(
    "truth",
    [
        KernelCalibration(slope=1.04),
        KernelCalibration(per_kernel_ms=1e-4),
        KernelCalibration(constant_ms=0.01, crowding=1.3),
        KernelCalibration(room=1.4),
    ],
    ids=["slope", "kernels", "constant and crowding", "room"],
)
def test_what_networks_share_is_found(truth: KernelCalibration) -> None:
    generator = np.random.default_rng(1)
    seen, unseen = rows(30, generator), rows(30, generator)
    found = calibrate_kernels(seen, truth.predict_ms(seen))
    assert found.networks == 30
    assert found.largest_bytes == seen.weight_bytes.max()
    assert found.predict_ms(unseen) == pytest.approx(truth.predict_ms(unseen), rel=0.015)


def test_a_network_that_was_mismeasured_counts_little() -> None:
    seen = rows(20, np.random.default_rng(2))
    measured = seen.sums_ms + crowding_ms(seen)
    measured[0] *= 3
    predicted = calibrate_kernels(seen, measured).predict_ms(seen)
    assert predicted[1:] == pytest.approx(measured[1:], rel=0.02)


def test_one_network_moves_little() -> None:
    seen = rows(1, np.random.default_rng(3))
    found = calibrate_kernels(seen, 1.5 * (seen.sums_ms + crowding_ms(seen)))
    assert 1.0 < found.slope < 1.2


def test_a_latency_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match="not positive"):
        calibrate_kernels(rows(2, np.random.default_rng(0)), np.array([1.0, 0.0]))
