"""A cell of NAS-Bench-201 as a torch module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from profiler.builders.export import GraphWriter, emit, write
from profiler.builders.modules import Zero, build_op
from profiler.ops import OpSpec
from search.spaces.cell_forms import EDGES, NODES, live_edges


class Cell(nn.Module):
    """Four nodes, each the sum of what the edges from the nodes before it give.

    Shapes: ``(N, C, H, W)`` kept. Source: Dong and Yang, ICLR 2020, figure 1.

    Args:
        edges: op of each edge in the order of :data:`~search.spaces.cell_forms.EDGES`; nothing
            where it gives zeros.
    """

    def __init__(self, edges: Sequence[OpSpec | None]) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {str(i): build_op(op) for i, op in enumerate(edges) if op is not None}
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for node in range(1, NODES):
            given = [
                self.edges[str(i)](nodes[before])
                for i, (before, after) in enumerate(EDGES)
                if after == node and str(i) in self.edges
            ]
            total: torch.Tensor | None = None
            for term in given:
                total = term if total is None else total + term
            nodes.append(torch.zeros_like(x) if total is None else total)
        return nodes[-1]


@emit.register
def _(module: Cell, graph: GraphWriter, x: str) -> str:
    """Edges that give nothing to the output are not shipped."""
    live = live_edges([int(str(i) in module.edges) for i in range(len(EDGES))])
    nodes = {0: x}
    for i in sorted(live, key=lambda i: EDGES[i][1]):
        before, after = EDGES[i]
        given = write(module.edges[str(i)], graph, nodes[before])
        nodes[after] = graph.node("Add", nodes[after], given) if after in nodes else given
    return nodes[NODES - 1] if live else write(Zero(stride=1), graph, x)
