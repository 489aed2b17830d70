"""Supernets of any number of candidates, and the steps that train them and plain networks."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from profiler.ops import OpSpec
from search.alpha_steps import update_alphas
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile_tiny
from search.supernet import Members, Supernet
from search.train import build_network, sgd

COUNTS = (2, 4, 8, 12)
KERNELS_AND_EXPANSIONS = [(kernel, expand) for expand in (3, 6, 4) for kernel in (3, 5, 7, 9)]
PLAIN, WEIGHTS, TWO, FULL, RECOMPUTE = (
    "plain network",
    "weights",
    "alphas two",
    "alphas full",
    "alphas recompute",
)


def space_of(count: int, base: ChainSpace | None = None) -> ChainSpace:
    """The shapes of a space, with ``count`` inverted residual candidates in every block.

    Args:
        count: of candidates; the first ones are the same at all counts.
        base: whose shapes; by default mobile-tiny's.
    """
    base = base or mobile_tiny()
    blocks = []
    for block in base.blocks:
        first = block[0]
        blocks.append(
            tuple(
                OpSpec.make(
                    "mbconv",
                    first.input_shape,
                    out=first.integer("out"),
                    kernel=kernel,
                    stride=first.integer("stride"),
                    expand=expand,
                )
                for kernel, expand in KERNELS_AND_EXPANSIONS[:count]
            )
        )
    return ChainSpace(f"wide-{count}", base.stem, tuple(blocks), base.head)


@dataclass(frozen=True)
class Draw:
    """The active candidate of each block, and the one that is its partner in ``two``."""

    path: tuple[int, ...]
    partners: tuple[int, ...]

    def members(self, kind: str, count: int) -> list[Members]:
        if kind == TWO:
            return list(zip(self.path, self.partners, strict=True))
        return [(one, *(other for other in range(count) if other != one)) for one in self.path]


def paths_of(blocks: int, seed: int) -> list[list[int]]:
    """A few paths among the first two candidates, which every supernet has."""
    return np.random.default_rng(seed).integers(2, size=(4, blocks)).tolist()


def light_draws(count: int, blocks: int, seed: int) -> list[Draw]:
    """Paths among the first two candidates, with partners among all others."""
    rng = np.random.default_rng((seed, count))
    draws = []
    for path in paths_of(blocks, seed):
        further = rng.integers(1, count, size=blocks)
        draws.append(Draw(tuple(path), tuple(((np.array(path) + further) % count).tolist())))
    return draws


def even_draws(count: int, blocks: int, seed: int) -> list[Draw]:
    """As many paths as candidates, each candidate of each block active in exactly one of them."""
    rng = np.random.default_rng((seed, count))
    paths = rng.permuted(np.tile(np.arange(count), (blocks, 1)), axis=1).T
    partners = np.roll(paths, 1, axis=0)
    return [
        Draw(tuple(path), tuple(others))
        for path, others in zip(paths.tolist(), partners.tolist(), strict=True)
    ]


def train_step(
    model: Callable[[], torch.Tensor], labels: torch.Tensor, optimizer: torch.optim.Optimizer
) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(), labels).backward()
    optimizer.step()
    optimizer.zero_grad()


def plain_step(
    space: ChainSpace, draws: list[Draw], inputs: torch.Tensor, labels: torch.Tensor, seed: int
) -> tuple[int, Callable[[Draw], None]]:
    """Networks built on their own, one a path, so that nothing of a supernet is in the way.

    Returns:
        Their parameters on the average, and the step.
    """
    networks: dict[tuple[int, ...], tuple[nn.Module, torch.optim.Optimizer]] = {}
    for draw in draws:
        network = build_network(space, space.architecture(draw.path), seed)
        network.to(memory_format=torch.channels_last)
        networks[draw.path] = network, sgd(network.parameters(), 0.01, 0.9, 0.0)

    def step(draw: Draw) -> None:
        network, optimizer = networks[draw.path]
        train_step(lambda: network(inputs), labels, optimizer)

    sizes = [sum(p.numel() for p in network.parameters()) for network, _ in networks.values()]
    return round(statistics.mean(sizes)), step


def weight_step(
    net: Supernet, inputs: torch.Tensor, labels: torch.Tensor
) -> Callable[[Draw], None]:
    optimizer = sgd(net.weight_parameters(), 0.01, 0.9, 0.0)
    return lambda draw: train_step(lambda: net(inputs, draw.path), labels, optimizer)


def alpha_step(
    net: Supernet, kind: str, count: int, inputs: torch.Tensor, labels: torch.Tensor
) -> Callable[[Draw], None]:
    optimizer = torch.optim.Adam(net.architecture_parameters(), lr=1e-3, betas=(0.0, 0.999))

    def step(draw: Draw) -> None:
        members = draw.members(kind, count)
        logits, gates = net.forward_gates(inputs, members, recompute=kind == RECOMPUTE)
        gradients = torch.autograd.grad(F.cross_entropy(logits, labels), gates)
        update_alphas(net, members, gradients, optimizer)

    return step
