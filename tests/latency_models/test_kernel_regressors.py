"""Kernels near measured ones are predicted, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from latency_models.kernel_regressors import MIN_KERNELS, REACH, KernelRegressors
from profiler.kernels import KernelSpec


def conv(inputs: int, out: int, size: int, kernel: int = 1, stride: int = 1) -> KernelSpec:
    ends = f"1x{inputs}x{size}x{size},w{out}x{inputs}x{kernel}x{kernel}>1x{out}x{size}x{size}"
    attributes = f"kernel_shape=[{kernel};{kernel}],strides=[{stride};{stride}]"
    return KernelSpec.parse(f"onnxruntime/onnx:Conv:11/{ends}/{attributes}")


def true_ms(spec: KernelSpec) -> float:
    moved = sum(each.size_bytes for each in (*spec.activations, *spec.weights))
    return 5e-4 + spec.flops / 3e7 + moved / 2e7


MEASURED = {
    spec: true_ms(spec)
    for spec in (conv(a, b, s) for a in (16, 32, 96) for b in (16, 64, 128) for s in (4, 9, 20))
}


def test_a_kernel_between_measured_ones_is_predicted() -> None:
    regressors = KernelRegressors(MEASURED)
    unseen = [conv(24, 48, 7), conv(64, 96, 14), conv(48, 32, 5)]
    assert [regressors.objection(spec) for spec in unseen] == ["", "", ""]
    predicted = regressors.predict_ms(unseen)
    assert predicted == pytest.approx([true_ms(spec) for spec in unseen], rel=0.15)


def test_predictions_are_the_same_for_the_same_seed() -> None:
    unseen = [conv(24, 48, 7)]
    first, again = (KernelRegressors(MEASURED, seed=3).predict_ms(unseen) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (conv(24, 48, 7, stride=2), "stride 4 was never measured, only 1"),
        (conv(24, 48, 80), "is too far from what was measured"),
        (conv(int(96 * REACH) + 8, 48, 9), "is too far from what was measured"),
        (conv(24, 48, 7, kernel=3), f"0 kernels like it were measured, .* needs {MIN_KERNELS}"),
    ],
    ids=["a level", "pixels", "channels", "another group"],
)
def test_a_kernel_far_from_measured_ones_is_objected_to(spec: KernelSpec, said: str) -> None:
    import re

    assert re.search(said, KernelRegressors(MEASURED).objection(spec))


def test_few_kernels_are_not_enough() -> None:
    few = dict(list(MEASURED.items())[: MIN_KERNELS - 1])
    assert KernelRegressors(few).objection(conv(16, 16, 4)).startswith(f"{MIN_KERNELS - 1} kernels")


def test_nothing_to_predict_is_nothing() -> None:
    assert KernelRegressors({}).predict_ms([]).shape == (0,)
