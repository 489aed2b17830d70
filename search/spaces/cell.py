"""A cell of NAS-Bench-201 as a torch module."""

from __future__ import annotations

from collections.abc import Sequence

from profiler.builders.graphs import SumGraph
from profiler.builders.modules import build_op
from profiler.ops import OpSpec
from search.spaces.cell_forms import EDGES


class Cell(SumGraph):
    """Four nodes, each the sum of what the edges from the nodes before it give.

    Shapes: ``(N, C, H, W)`` kept. Source: Dong and Yang, ICLR 2020, figure 1.

    Args:
        edges: op of each edge in the order of :data:`~search.spaces.cell_forms.EDGES`; nothing
            where it gives zeros.
    """

    def __init__(self, edges: Sequence[OpSpec | None]) -> None:
        parts = {i: build_op(op) for i, op in enumerate(edges) if op is not None}
        super().__init__(EDGES, parts)
