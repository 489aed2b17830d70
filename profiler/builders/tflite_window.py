"""Window: torch's padding of a convolution or pooling layer, in TFLite's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profiler.builders.tflite_graph import Graph


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """A size given once for both axes, or for each."""
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


class Window:
    """Where a sliding window of torch's reads, and how TFLite is told so."""

    def __init__(self, module: Any, height: int, width: int) -> None:
        self.kernel = pair(module.kernel_size)
        self.stride = pair(module.stride)
        self.padding = pair(module.padding)
        self.size = (height, width)
        self.output = tuple(
            (size + 2 * padding - kernel) // stride + 1
            for size, padding, kernel, stride in zip(
                self.size, self.padding, self.kernel, self.stride, strict=True
            )
        )

    @property
    def is_same(self) -> bool:
        """Whether SAME pads as torch does: as much on both sides, and all of it."""
        for size, padding, kernel, stride, output in zip(
            self.size, self.padding, self.kernel, self.stride, self.output, strict=True
        ):
            total = max((output - 1) * stride + kernel - size, 0)
            if output != -(-size // stride) or total != 2 * padding:
                return False
        return True

    def prepare(self, graph: Graph, x: int, fill: float = 0.0) -> tuple[int, int]:
        """Pad ``x`` where SAME would not do; return it with the padding to be written."""
        if self.padding == (0, 0):
            return x, schema.Padding.VALID
        if self.is_same:
            return x, schema.Padding.SAME
        (top, left), (n, height, width, channels) = self.padding, graph.shape(x)
        amounts = graph.constant(np.array([[0, 0], [top, top], [left, left], [0, 0]], np.int32))
        shape = (n, height + 2 * top, width + 2 * left, channels)
        if fill == 0.0:
            return graph.add("PAD", [x, amounts], shape, schema.PadOptionsT()), schema.Padding.VALID
        value = graph.constant(np.array([fill], np.float32))
        padded = graph.add("PADV2", [x, amounts, value], shape, schema.PadV2OptionsT())
        return padded, schema.Padding.VALID
