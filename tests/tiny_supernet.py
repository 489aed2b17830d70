"""A supernet of three blocks, and images for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from profiler.ops import OpSpec
from search.spaces.base import ChainSpace
from search.supernet import Members, Supernet

LABELS = torch.arange(6) % 2
PAIRS: list[Members] = [(1, 2), (0,), (2, 0)]
ALL: list[Members] = [(1, 0, 2, 3), (0,), (2, 0, 1)]


def small(size: int = 9) -> ChainSpace:
    """Three blocks: four candidates with skip and zero, one candidate, three candidates."""
    stem = OpSpec.make("conv", (3, size, size), out=4, kernel=3, stride=2)
    shape = stem.output_shape

    def mbconv(kernel: int) -> OpSpec:
        return OpSpec.make("mbconv", shape, out=4, kernel=kernel, stride=1, expand=3)

    identity, zero = OpSpec.make("identity", shape), OpSpec.make("zero", shape)
    blocks = (
        (mbconv(3), mbconv(5), identity, zero),
        (mbconv(3),),
        (mbconv(3), identity, mbconv(7)),
    )
    pool = OpSpec.make("global_avg_pool", shape)
    return ChainSpace("small", (stem,), blocks, (pool, OpSpec.make("linear", (4,), out=2)))


def supernet(seed: int = 0) -> Supernet:
    return Supernet(small(), seed)


def images(count: int = 6) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(1))


def adam(net: Supernet) -> torch.optim.Adam:
    return torch.optim.Adam(net.architecture_parameters(), lr=0.1, betas=(0.0, 0.999))


def state(net: nn.Module) -> dict[str, Tensor]:
    """A copy of everything a module keeps."""
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def changed(net: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of what differs from a copy; all names that either has are the same."""
    after = state(net)
    assert after.keys() == before.keys()
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


class Broken(nn.Module):
    """Stops."""

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("stop")


class Infinite(nn.Module):
    """Nothing but infinities."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, math.inf)
