from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from search.spaces.cell_forms import form, live_edges, representatives
from search.spaces.nasbench201 import NasBench201

NONE, SKIP, CONV_1, CONV_3, POOL = range(5)


def test_live_edges_lie_on_a_path() -> None:
    # 0 -> 1 leads nowhere, 2 -> 3 comes from nowhere, 0 -> 3 is a path.
    assert live_edges((CONV_3, NONE, NONE, SKIP, NONE, POOL)) == (3,)
    assert live_edges((CONV_3, NONE, POOL, NONE, NONE, SKIP)) == (0, 2, 5)
    assert live_edges((CONV_3, NONE, NONE, NONE, NONE, SKIP)) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((3, 0, 0, 0, 2, 0), (0, 3, 0, 0, 0, 2), id="middle nodes swapped"),
        pytest.param((1, 0, 0, 0, 3, 0), (0, 0, 0, 3, 0, 0), id="a skip before a convolution"),
        pytest.param((3, 0, 0, 0, 1, 0), (0, 0, 0, 3, 0, 0), id="a skip after it"),
        pytest.param((3, 4, 2, 1, 0, 0), (0, 0, 0, 1, 0, 0), id="dead nodes"),
        pytest.param((4, 4, 0, 0, 3, 3), (4, 0, 1, 0, 3, 3), id="an average has no weights"),
    ],
)
def test_the_same_function(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert form(one) == form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((3, 3, 0, 0, 2, 2), (3, 0, 1, 0, 2, 2), id="a convolution used twice"),
        pytest.param((1, 0, 0, 1, 1, 0), (0, 0, 0, 1, 0, 0), id="2 x and x"),
        pytest.param((3, 0, 0, 0, 2, 0), (2, 0, 0, 0, 3, 0), id="order"),
        pytest.param((1, 4, 0, 0, 4, 1), (3, 4, 0, 0, 4, 1), id="one average and two"),
        pytest.param((0, 0, 0, 2, 0, 0), (0, 0, 0, 3, 0, 0), id="kernel"),
        pytest.param((0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0), id="nothing and the input"),
    ],
)
def test_different_functions(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert form(one) != form(other)


def test_how_many_functions_there_are() -> None:
    assert len(representatives()) == 15_625
    assert len(set(representatives().values())) == 5_260


def test_a_representative_stands_for_itself_and_holds_nothing_dead() -> None:
    for choices in set(representatives().values()):
        assert representatives()[choices] == choices
        assert live_edges(choices) == tuple(i for i, choice in enumerate(choices) if choice)


def output(space: NasBench201, choices: Sequence[int]) -> torch.Tensor:
    """Of a network in which all convolutions of one shape have the same weights."""
    network = space.build(space.architecture(choices)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                generator = torch.Generator().manual_seed(parameter.numel())
                parameter.copy_(torch.randn(parameter.shape, generator=generator).double())
        network[-1].bias.zero_()
        x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        return network(x.double())


def test_the_same_form_gives_the_same_output() -> None:
    space = NasBench201(channels=2, cells=1, resolution=8)
    every = list(itertools.product(range(5), repeat=6))
    for i in np.random.default_rng(0).choice(len(every), 60, replace=False):
        first = output(space, representatives()[every[i]])
        assert torch.allclose(output(space, every[i]), first, rtol=1e-8, atol=1e-8)
