from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from profiler.builders.graphs import SumGraph
from profiler.builders.paths import Edge, on_paths

FOUR: tuple[Edge, ...] = tuple(sorted(itertools.combinations(range(4), 2), key=lambda e: e[::-1]))


def paths(edges: set[Edge], node: int, last: int) -> list[list[Edge]]:
    """Every way from a node to the last one, step by step."""
    if node == last:
        return [[]]
    starts = [edge for edge in edges if edge[0] == node]
    return [[edge, *rest] for edge in starts for rest in paths(edges, edge[1], last)]


@given(st.sets(st.sampled_from(list(itertools.combinations(range(6), 2)))))
def test_edges_on_paths_are_those_of_all_ways(edges: set[Edge]) -> None:
    ways = paths(edges, 0, 5)
    assert on_paths(edges, 5) == {edge for way in ways for edge in way}


def test_a_node_is_the_sum_of_its_edges() -> None:
    graph = SumGraph(FOUR, {0: nn.Identity(), 3: nn.ReLU(), 4: nn.Identity()})
    x = torch.randn(2, 3, 4, 4)
    assert FOUR[3] == (0, 3)
    assert torch.equal(graph(x), torch.relu(x) + x)


def test_a_graph_without_a_path_gives_zeros() -> None:
    x = torch.randn(2, 3, 4, 4)
    graph = SumGraph(FOUR, {0: nn.Identity()})
    assert not graph(x).any()
    assert graph.shipped() == []


def test_what_is_shipped_comes_in_an_order_that_can_be_run() -> None:
    graph = SumGraph(FOUR, {i: nn.Identity() for i in range(6)})
    assert [edge for edge, _ in graph.shipped()] == list(FOUR)
    dangling = SumGraph(FOUR, {0: nn.Identity(), 3: nn.ReLU()})
    assert [edge for edge, _ in dangling.shipped()] == [(0, 3)]


def test_an_edge_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="edge 6 of 6"):
        SumGraph(FOUR, {6: nn.Identity()})
