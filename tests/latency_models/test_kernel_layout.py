"""What a kernel is like is read where its runtime has it."""

from __future__ import annotations

import pytest

from latency_models import kernel_layout as layout
from latency_models.kernel_features import group_of, kernel_features, kernel_matrix
from profiler.kernels import KernelSpec

ONNX = KernelSpec.parse(
    "onnxruntime/onnx:Conv:11/1x16x9x5,w32x16x3x3,w32>1x32x4x2/"
    "dilations=[1;1],kernel_shape=[3;3],strides=[2;2]"
)
TFLITE = KernelSpec.parse(
    "litert/tflite:CONV_2D:1/1x9x5x16,w32x3x3x16,w32>1x4x2x32/"
    "options='Conv2DOptions',padding=1,strideH=2,strideW=2"
)
DEPTHWISE = KernelSpec.parse(
    "litert/tflite:DEPTHWISE_CONV_2D:1/1x8x8x16,w1x5x5x16,w16>1x8x8x16/"
    "dilationHFactor=2,dilationWFactor=2,fusedActivationFunction=3,"
    "options='DepthwiseConv2DOptions',strideH=1,strideW=1"
)
GROUPED = KernelSpec.parse(
    "litert/tflite:CONV_2D:1/1x8x8x16,w32x1x1x4,w32>1x8x8x32/strideH=1,strideW=1"
)
POOL = KernelSpec.parse(
    "litert/tflite:MAX_POOL_2D:1/1x8x8x16>1x4x4x16/filterHeight=3,filterWidth=2,strideH=2,strideW=2"
)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (layout.channels_in, 16),
        (layout.channels_out, 32),
        (layout.positions_out, 8),
        (layout.columns_out, 2),
        (layout.window, 9),
        (layout.stride, 4),
        (layout.dilation, 1),
        (layout.has_activation, False),
        (layout.is_grouped, False),
        (lambda spec: spec.flops, 2 * 32 * 8 * 16 * 9),
    ],
)
def test_both_layouts_of_one_convolution_say_the_same(read: object, value: object) -> None:
    assert callable(read)
    assert read(ONNX) == read(TFLITE) == value


def test_options_of_tflite_are_read() -> None:
    assert layout.is_depthwise(DEPTHWISE)
    assert layout.is_grouped(DEPTHWISE)
    assert layout.has_activation(DEPTHWISE)
    assert (layout.window(DEPTHWISE), layout.dilation(DEPTHWISE)) == (25, 4)
    assert DEPTHWISE.flops == 2 * 16 * 64 * 25
    assert layout.is_grouped(GROUPED)
    assert not layout.is_depthwise(GROUPED)
    assert (layout.window(POOL), layout.stride(POOL)) == (6, 4)


def test_convolutions_of_tflite_fall_into_the_same_groups() -> None:
    words = [group_of(each).split() for each in (TFLITE, DEPTHWISE, GROUPED)]
    assert words == [
        ["tflite:CONV_2D", "dense"],
        ["tflite:DEPTHWISE_CONV_2D", "depthwise"],
        ["tflite:CONV_2D", "grouped"],
    ]
    names = [feature.name for feature in kernel_features(DEPTHWISE)]
    found = dict(zip(names, kernel_matrix([DEPTHWISE])[0], strict=True))
    assert (found["kernel"], found["dilation"], found["activation"]) == (25, 4, 1)
