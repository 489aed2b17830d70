"""Costs of the primitive layers, counted by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from profiler.ops import layers


@given(st.integers(1, 40), st.integers(1, 6), st.sampled_from([1, 3, 5, 7]))
def test_conv_size_is_the_size_torch_gives(size: int, stride: int, kernel: int) -> None:
    convolution = torch.nn.Conv1d(1, 1, kernel, stride, kernel // 2)
    assert layers.conv_size(size, stride) == convolution(torch.zeros(1, 1, size)).shape[-1]


def test_a_convolution_reads_its_input_and_folded_weights_and_writes_its_output() -> None:
    # 3x5x5 by a 3x3 kernel of stride 2 to 8x3x3, batch norm folded into 8 biases.
    layer = layers.conv(3, 8, 5, 5, kernel=3, stride=2)
    assert layer.bytes_moved == 4 * ((3 * 5 * 5) + (8 * 3 * 3 * 3 + 8) + (8 * 3 * 3))


def test_a_depthwise_convolution_has_one_filter_a_channel() -> None:
    layer = layers.conv(6, 6, 4, 4, kernel=5, stride=1, groups=6)
    assert layer.weights == 6 * 5 * 5 + 6
    assert layer.macs == 6 * 5 * 5 * 4 * 4


def test_a_convolution_without_norm_trains_its_kernel_only() -> None:
    plain = layers.conv(3, 8, 5, 5, kernel=1, stride=1, has_norm=False)
    assert plain.parameters == 3 * 8
    assert layers.conv(3, 8, 5, 5, kernel=1, stride=1).parameters == 3 * 8 + 2 * 8


@pytest.mark.parametrize(
    ("layer", "moved"),
    [
        (layers.linear(10, 3), 10 + (30 + 3) + 3),
        (layers.pool((4, 6, 6), positions=9), 4 * 36 + 4 * 9),
        (layers.add(50), 50 + 50 + 50),
        (layers.fill(50), 50),
        (layers.norm(5, positions=10), 50 + (5 + 5) + 50),
        (layers.activation(50), 50 + 50),
        (layers.shuffle(50), 50 + 50),
        (layers.scale(5, positions=10), 50 + 5 + 50),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_other_layers_move_what_they_read_and_write(layer: layers.Layer, moved: int) -> None:
    assert layer.bytes_moved == 4 * moved


@pytest.mark.parametrize(
    "layer",
    [
        layers.pool((4, 6, 6), 9),
        layers.add(50),
        layers.fill(50),
        layers.activation(50),
        layers.shuffle(50),
    ],
)
def test_only_multiplications_count_as_arithmetic(layer: layers.Layer) -> None:
    assert (layer.flops, layer.parameters, layer.weights) == (0, 0, 0)
