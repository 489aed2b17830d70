"""Kernels that go through memory alike are of one group, and have the same features."""

from __future__ import annotations

import numpy as np
import pytest

from latency_models.kernel_features import group_of, kernel_features, kernel_matrix
from profiler.kernels import KernelSpec


def kernel(text: str) -> KernelSpec:
    return KernelSpec.parse(f"onnxruntime/{text}")


def conv(inputs: int, out: int, size: int, kernel_size: int, more: str = "") -> KernelSpec:
    ends = f"1x{inputs}x{size}x{size},w{out}x{inputs}x{kernel_size}x{kernel_size}"
    side = f"[{kernel_size};{kernel_size}]"
    return kernel(
        f"com.microsoft.nchwc:Conv:1/{ends}>1x{out}x{size}x{size}/kernel_shape={side}{more}"
    )


DEPTHWISE = kernel(
    "com.microsoft.nchwc:Conv:1/1x16x8x8,w16x1x3x3>1x16x4x4/"
    "group=16,kernel_shape=[3;3],strides=[2;2]"
)


def test_sizes_make_no_group_and_ways_through_memory_do() -> None:
    dense, pointwise = conv(16, 32, 8, 3), conv(16, 32, 8, 1)
    assert group_of(dense) == group_of(conv(32, 8, 5, 5))
    assert len({group_of(dense), group_of(pointwise), group_of(DEPTHWISE)}) == 3


def test_an_activation_that_is_fused_makes_no_group_and_another_does() -> None:
    plain, fused, after = (
        conv(16, 32, 8, 1, more) for more in ("", ",activation='Relu'", ",activation='Clip'")
    )
    assert group_of(plain) == group_of(fused) != group_of(after)
    values = [
        dict(zip(names(each), kernel_matrix([each])[0], strict=True)) for each in (plain, fused)
    ]
    assert [each["activation"] for each in values] == [0, 1]


def names(spec: KernelSpec) -> list[str]:
    return [feature.name for feature in kernel_features(spec)]


def test_how_an_input_is_spread_over_the_output_makes_a_group() -> None:
    same = kernel("onnx:Mul:14/1x8x4x4,1x8x4x4>1x8x4x4/")
    spread = kernel("onnx:Mul:14/1x8x4x4,1x8x1x1>1x8x4x4/")
    constant = kernel("onnx:Mul:14/1x8x4x4,w8x1x1>1x8x4x4/")
    assert len({group_of(each) for each in (same, spread, constant)}) == 3


def test_an_attribute_that_is_off_is_one_that_is_not_there() -> None:
    text = "com.microsoft.nchwc:ReorderInput:1/1x8x4x4>1x8x4x4/"
    assert group_of(kernel(text)) == group_of(kernel(text + "channels_last=0"))
    assert group_of(kernel(text)) != group_of(kernel(text + "channels_last=1"))


def test_the_axis_of_an_operator_makes_a_group() -> None:
    first, last = (
        kernel(f"onnx:Transpose:13/1x2x4x8>{out}/perm={perm}")
        for out, perm in (("1x4x2x8", "[0;2;1;3]"), ("1x2x8x4", "[0;1;3;2]"))
    )
    assert group_of(first) != group_of(last)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOPs", 2 * 16 * 16 * 9),
        ("bytes read", 4 * 16 * 64),
        ("bytes written", 4 * 16 * 16),
        ("bytes of weights", 4 * 16 * 9),
        ("channels in", 16),
        ("channels out", 16),
        ("positions out", 16),
        ("columns out", 4),
        ("kernel", 9),
        ("stride", 4),
        ("summand", 0),
    ],
)
def test_features_of_a_depthwise_convolution(name: str, value: float) -> None:
    found = dict(zip(names(DEPTHWISE), kernel_matrix([DEPTHWISE])[0], strict=True))
    assert found[name] == value


@pytest.mark.parametrize(
    "text",
    [
        "onnx:Gemm:13/1x64,w10x64,w10>1x10/transB=1",
        "onnx:MaxPool:12/1x8x9x9>1x8x4x4/kernel_shape=[3;3],strides=[2;2]",
        "onnx:Softmax:13/1x10>1x10/axis=-1",
        "onnx:ConstantOfShape:9/wi64:2=3;4>3x4/",
        "onnx:ReduceMean:13/1x10>scalar/keepdims=0",
    ],
)
def test_every_kernel_has_finite_features(text: str) -> None:
    spec = kernel(text)
    matrix = kernel_matrix([spec, spec])
    assert matrix.shape == (2, len(names(spec)))
    assert np.isfinite(matrix).all()
