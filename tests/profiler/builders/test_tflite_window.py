"""Window: torch's padding in TFLite's words."""

from __future__ import annotations

import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from profiler.builders.tflite_graph import Graph
from profiler.builders.tflite_window import Window, pair


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3, 5, 7]), st.integers(1, 4))
def test_the_output_has_the_size_torch_gives_it(
    height: int, width: int, kernel: int, stride: int
) -> None:
    module = nn.MaxPool2d(kernel, stride, kernel // 2)
    window = Window(module, height, width)
    assert window.output == tuple(module(torch.zeros(1, 1, height, width)).shape[2:])


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "padding"),
    [
        (3, 1, 8, schema.Padding.SAME),
        (3, 2, 7, schema.Padding.SAME),
        (1, 2, 8, schema.Padding.VALID),
        # SAME would pad an even size at its end only.
        (3, 2, 8, schema.Padding.VALID),
    ],
)
def test_same_is_said_where_it_pads_alike_on_both_sides(
    kernel: int, stride: int, size: int, padding: int
) -> None:
    graph = Graph((1, size, size, 2))
    window = Window(nn.Conv2d(2, 2, kernel, stride, kernel // 2), size, size)
    assert window.prepare(graph, graph.input)[1] == padding


def test_an_even_image_is_padded_by_hand() -> None:
    graph = Graph((1, 8, 8, 2))
    padded, _ = Window(nn.Conv2d(2, 2, 3, 2, 1), 8, 8).prepare(graph, graph.input)
    assert graph.shape(padded) == [1, 10, 10, 2]


def test_a_size_may_be_given_once_for_both_axes() -> None:
    assert pair(3) == pair((3, 3)) == (3, 3)
