"""Op to torch module: chains fit together, and zero is zero."""

from __future__ import annotations

import pytest
import torch
from op_examples import FBNET, FLOAT_KEYS, KEYS, NASBENCH201, inputs, trained
from torch import nn
from torch.nn import functional as F

from devices.errors import InputError, UnknownNameError
from profiler.builders.modules import (
    ChannelShuffle,
    MBConv,
    ResidualBlock,
    SqueezeExcite,
    SumWithConstants,
    Zero,
    build_chain,
    build_op,
    check_chain,
)
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


@pytest.mark.parametrize("keys", [FBNET, NASBENCH201], ids=["fbnet", "201"])
def test_the_published_spaces_can_be_built_of_the_vocabulary(keys: list[str]) -> None:
    specs = [OpSpec.parse(key) for key in keys]
    network = build_chain(specs).train()
    x = inputs(specs[0].input_shape, 2)
    F.cross_entropy(network(x), torch.tensor([1, 7])).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert sum(p.grad is not None for p in network.parameters()) == len(list(network.parameters()))


@pytest.mark.parametrize("key", [*KEYS, *FLOAT_KEYS])
def test_an_op_leaves_its_input_as_it_was(key: str) -> None:
    # In a cell, several ops read one tensor.
    spec = OpSpec.parse(key)
    x = inputs(spec.input_shape, 1)
    before = x.clone()
    with torch.no_grad():
        build_op(spec).eval()(x)
    assert torch.equal(x, before)


def norm(x: torch.Tensor, module: nn.Module) -> torch.Tensor:
    assert isinstance(module, nn.BatchNorm2d)
    assert module.running_mean is not None
    return F.batch_norm(
        x, module.running_mean, module.running_var, module.weight, module.bias, eps=module.eps
    )


def test_a_relu_conv_is_relu_then_convolution_then_norm() -> None:
    module = trained(build_op(OpSpec.parse("relu_conv/4x7x6/out=5,kernel=3,stride=2")))
    assert isinstance(module, nn.Sequential)
    x = inputs((4, 7, 6), 2)
    with torch.no_grad():
        convolved = F.conv2d(x.clamp(min=0), module[1].weight, stride=2, padding=1)
        torch.testing.assert_close(module(x), norm(convolved, module[2]))


def test_the_shortcut_of_stride_2_averages_and_then_convolves() -> None:
    block = trained(build_op(OpSpec.parse("residual_block/4x8x6/out=6,stride=2")))
    assert isinstance(block, ResidualBlock)
    assert isinstance(block.shortcut, nn.Sequential)
    x = inputs((4, 8, 6), 2)
    with torch.no_grad():
        shortcut = F.conv2d(F.avg_pool2d(x, 2), block.shortcut[1].weight)
        torch.testing.assert_close(block(x), shortcut + block.layers(x))


def test_a_residual_block_that_keeps_its_shape_adds_its_input() -> None:
    block = trained(build_op(OpSpec.parse("residual_block/4x5x6/out=4")))
    assert isinstance(block, ResidualBlock)
    x = inputs((4, 5, 6), 2)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x + block.layers(x))


def test_a_shuffle_takes_one_channel_of_each_group_in_turn() -> None:
    channels = torch.arange(6.0).reshape(1, 6, 1, 1)
    shuffled = ChannelShuffle(6, 2)(channels).flatten()
    assert shuffled.tolist() == [0, 3, 1, 4, 2, 5]


def test_a_block_in_groups_mixes_them() -> None:
    block = build_op(OpSpec.parse("mbconv/4x6x6/out=8,kernel=3,expand=3,groups=2")).eval()
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    block(x)[:, :4].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax((0, 2, 3)) > 0).all()


def test_squeeze_and_excite_scales_each_channel_by_the_hard_sigmoid_of_the_means() -> None:
    module = trained(SqueezeExcite(4, 3))
    assert isinstance(module, SqueezeExcite)
    x = inputs((4, 5, 6), 2)
    with torch.no_grad():
        scores = module.gate[2](module.gate[0](x.mean((2, 3), keepdim=True)).clamp(min=0))
        torch.testing.assert_close(module(x), x * ((scores + 3).clamp(0, 6) / 6))


def test_a_sum_adds_other_constants_to_its_input_every_time() -> None:
    module = build_op(OpSpec.parse("add/2x3x3/inputs=3")).eval()
    assert isinstance(module, SumWithConstants)
    first, second = module.constants(1)
    assert not torch.equal(first, second)
    x = inputs((2, 3, 3), 1)
    torch.testing.assert_close(module(x), x + first + second)
    assert not module.state_dict()
