"""Op to torch module: chains fit together, and zero is zero."""

from __future__ import annotations

import pytest
import torch

from devices.errors import InputError, UnknownNameError
from profiler.builders.modules import MBConv, Zero, build_chain, build_op, check_chain
from profiler.ops import OpSpec

CHAIN = [
    OpSpec.parse("conv/3x16x16/out=8,kernel=3,stride=2"),
    OpSpec.parse("mbconv/8x8x8/out=8,kernel=3,expand=3"),
    OpSpec.parse("global_avg_pool/8x8x8/"),
    OpSpec.parse("linear/8/out=10"),
]


def test_a_chain_runs_its_ops_one_after_the_other() -> None:
    network = build_chain(CHAIN).eval()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = x
    for module in network:
        expected = module(expected)
    assert network(x).shape == (2, 10)
    assert torch.equal(network(x), expected)


def test_ops_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match=r"linear/8/out=10 cannot follow conv/3x16x16/.*8, 8, 8"):
        check_chain([CHAIN[0], CHAIN[3]])


def test_a_chain_that_does_not_fit_is_not_built() -> None:
    with pytest.raises(InputError, match="cannot follow"):
        build_chain([CHAIN[1], CHAIN[0]])


@pytest.mark.parametrize("specs", [[], CHAIN[:1]], ids=["empty", "one op"])
def test_short_chains_fit(specs: list[OpSpec]) -> None:
    check_chain(specs)


def test_a_kind_without_a_builder_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"builder 'conw'.*conv"):
        build_op(OpSpec("conw", (3, 8, 8), ()))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1.0])
def test_zero_of_anything_is_zero(stride: int, value: float) -> None:
    output = Zero(stride)(torch.full((2, 3, 7, 5), value))
    assert output.shape == (2, 3, -(-7 // stride), -(-5 // stride))
    assert torch.equal(output, torch.zeros_like(output))


def test_a_residual_block_adds_its_input() -> None:
    block = build_op(OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")).eval()
    assert isinstance(block, MBConv)
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x + block.layers(x))


@pytest.mark.parametrize("key", ["out=4,stride=2", "out=5,stride=1"])
def test_a_block_that_changes_shape_adds_nothing(key: str) -> None:
    block = build_op(OpSpec.parse(f"mbconv/4x6x6/kernel=3,expand=3,{key}")).eval()
    assert isinstance(block, MBConv)
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), block.layers(x))


def test_average_pooling_does_not_count_the_padding() -> None:
    pool = build_op(OpSpec.parse("avg_pool/1x4x4/kernel=3"))
    assert torch.equal(pool(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))
