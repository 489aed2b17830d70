"""Edges between numbered nodes, and which of them an output depends on."""

from __future__ import annotations

from collections.abc import Iterable

Edge = tuple[int, int]
"""From one node to a later one."""


def on_paths(edges: Iterable[Edge], last: int) -> set[Edge]:
    """The edges that lie on a path from node 0 to the last one.

    Args:
        edges: those that there are.
        last: number of the last node.
    """
    ordered = sorted(edges)
    reached, needed = {0}, {last}
    for before, after in ordered:
        if before in reached:
            reached.add(after)
    for before, after in reversed(ordered):
        if after in needed:
            needed.add(before)
    both = reached & needed
    return {edge for edge in ordered if both.issuperset(edge)}
