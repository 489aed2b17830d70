"""Networks that are no chain: nodes, each the sum of what the edges into it give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from profiler.builders.paths import Edge, on_paths


class SumGraph(nn.Module):
    """Nodes that are each the sum of what the edges from the nodes before give; the last is given.

    Shapes: ``(N, C, H, W)`` kept. A node without edges is zeros.

    Args:
        edges: all that there may be, from node 0 on.
        parts: what is on an edge, by the edge's place among them; nothing where it gives zeros.

    Raises:
        ValueError: a part on an edge that there is not.
    """

    def __init__(self, edges: Sequence[Edge], parts: Mapping[int, nn.Module]) -> None:
        super().__init__()
        for i in parts:
            if not 0 <= i < len(edges):
                raise ValueError(f"edge {i} of {len(edges)}")
        self.ends = tuple(edges)
        self.last = max(after for _, after in edges)
        self.edges = nn.ModuleDict({str(i): part for i, part in parts.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for node in range(1, self.last + 1):
            total: torch.Tensor | None = None
            for i, (before, after) in enumerate(self.ends):
                if after == node and str(i) in self.edges:
                    term = self.edges[str(i)](nodes[before])
                    total = term if total is None else total + term
            nodes.append(torch.zeros_like(x) if total is None else total)
        return nodes[-1]

    def shipped(self) -> list[tuple[Edge, nn.Module]]:
        """The edges that the output depends on and what is on them, by the node they lead to."""
        there = {self.ends[int(i)]: part for i, part in self.edges.items()}
        live = on_paths(there, self.last)
        return [(edge, there[edge]) for edge in sorted(live, key=lambda edge: edge[::-1])]
