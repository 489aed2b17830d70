from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from profiler.builders.modules import build_op
from profiler.exchange.nasbench201 import _is_architecture
from search.spaces.base import SearchSpace
from search.spaces.nasbench201 import NasBench201, nasbench201, parse_string, string_of

cells = st.tuples(*[st.integers(0, 4)] * 6)


def test_it_is_a_search_space() -> None:
    space = nasbench201()
    assert isinstance(space, SearchSpace)
    assert space.name == "nasbench201"
    assert (space.size, space.input_shape, space.classes) == (15_625, (3, 32, 32), 10)
    assert nasbench201(8, 1).name == "nasbench201?channels=8&cells=1"


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("421211", 129_306),
        ("334131", 802_426),
        ("433444", 559_386),
        ("000000", 73_306),
        ("333333", 1_531_546),
    ],
)
def test_networks_have_as_many_parameters_as_in_the_benchmark(code: str, parameters: int) -> None:
    space = nasbench201()
    with torch.device("meta"):
        network = space.build(space.architecture([int(digit) for digit in code]))
    assert sum(p.numel() for p in network.parameters()) == parameters


@given(cells)
def test_a_string_is_read_back(choices: tuple[int, ...]) -> None:
    text = string_of(choices)
    assert parse_string(text) == choices
    assert _is_architecture(text)
    assert nasbench201().parse(text).choices == choices


@pytest.mark.parametrize(
    "text",
    ["", "|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|max_pool~2|", "none~0|" * 6],
)
def test_other_texts_are_no_architecture(text: str) -> None:
    with pytest.raises(InputError, match="not a NAS-Bench-201 architecture"):
        parse_string(text)


def test_a_cell_sums_its_edges() -> None:
    space = NasBench201(channels=2, cells=1, resolution=8)
    # Node 1 = pool(x), node 2 = x + node 1, node 3 = x + pool(node 2).
    network = space.build(space.architecture((4, 1, 1, 1, 0, 4)))
    x = torch.randn(2, 2, 8, 8)
    pool = torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    assert torch.allclose(network[1](x), x + pool(x + pool(x)))


def test_a_cell_of_nothing_gives_zeros() -> None:
    space = NasBench201(channels=2, cells=1, resolution=8)
    network = space.build(space.architecture((0,) * 6))
    assert not network[1](torch.randn(2, 2, 8, 8)).any()
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)


def test_ops_are_those_that_give_something() -> None:
    space = NasBench201(channels=4, cells=2, resolution=8)
    kinds = [op.kind for op in space.ops(space.architecture((3, 2, 0, 1, 4, 4)))]
    cell = ["relu_conv", "relu_conv", "identity", "avg_pool", "avg_pool", "add"]
    stages = [*cell * 2, "residual_block", *cell * 2, "residual_block", *cell * 2]
    assert kinds == ["conv", *stages, "batch_norm", "global_avg_pool", "linear"]
    dead = [op.kind for op in space.ops(space.architecture((3, 0, 0, 0, 0, 3)))]
    assert dead.count("zero") == 6
    assert "relu_conv" not in dead


@given(cells)
def test_ops_of_a_representative_hold_all_its_parameters(choices: tuple[int, ...]) -> None:
    space = NasBench201(channels=4, cells=1, resolution=8)
    first = space.representative(space.architecture(choices))
    with torch.device("meta"):
        network = space.build(first)
    assert sum(p.numel() for p in network.parameters()) == sum(
        op.parameters for op in space.ops(first)
    )


def test_every_op_is_covered_and_can_be_built() -> None:
    space = NasBench201(channels=4, cells=1, resolution=8)
    covered = {op for architecture in space.covering() for op in space.ops(architecture)}
    assert set(space.all_ops()) <= covered
    generator = np.random.default_rng(0)
    for architecture in (space.sample(generator) for _ in range(300)):
        assert {op for op in space.ops(architecture) if not op.is_free} <= set(space.all_ops())
    for op in space.all_ops():
        assert build_op(op)(torch.randn(2, *op.input_shape)).shape[1:] == op.output_shape


def test_sampling_and_mutating_repeat_with_the_generator() -> None:
    space = nasbench201()
    one, other = (np.random.default_rng(3) for _ in range(2))
    first = space.sample(one)
    assert first == space.sample(other)
    mutated = space.mutate(first, one)
    assert mutated == space.mutate(first, other)
    assert sum(a != b for a, b in zip(first.choices, mutated.choices, strict=True)) == 1


def test_all_are_listed_and_duplicates_left_out() -> None:
    space = nasbench201()
    every = list(space.enumerate())
    assert len(set(every)) == space.size
    assert set(space.distinct()) == {space.representative(architecture) for architecture in every}


@pytest.mark.parametrize(
    "parameters",
    [{"channels": 0}, {"cells": 0}, {"classes": 0}, {"resolution": 30}, {"cells": 9e9}],
)
def test_a_parameter_out_of_its_range(parameters: dict[str, int]) -> None:
    with pytest.raises(InputError, match="nasbench201"):
        nasbench201(**parameters)


@pytest.mark.parametrize("choices", [(0,) * 5, (0, 0, 0, 0, 0, 5)])
def test_another_cell_is_refused(choices: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        nasbench201().architecture(choices)
