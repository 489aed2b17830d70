"""A supernet that the slower candidates of every block serve better, in steps of milliseconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from profiler.ops import OpSpec
from search.alpha_steps import AlphaSteps
from search.expected_latency import LatencyMatrix, Limit
from search.proxyless_config import ProxylessConfig
from search.spaces.base import ChainSpace
from search.supernet import Supernet

BLOCKS, WIDTH = 5, 3
SHAPE = (2, 4, 4)


class Gain(nn.Module):
    """Lets the signal stand out, by a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Sign(nn.Module):
    """Two classes by the sign of the mean."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([-mean, mean], 1)


def toy_space() -> ChainSpace:
    block = tuple(OpSpec.make("conv", SHAPE, out=2, kernel=2 * j + 1) for j in range(WIDTH))
    head = (OpSpec.make("global_avg_pool", SHAPE), OpSpec.make("linear", (2,), out=2))
    return ChainSpace("toy", block[:1], (block,) * BLOCKS, head)


def toy_matrix(slope: float = 0.2) -> LatencyMatrix:
    """From 1 ms; later blocks cost ``slope`` more each."""
    blocks = (tuple(float(j) * (1 + slope * b) for j in range(WIDTH)) for b in range(BLOCKS))
    return LatencyMatrix(toy_space(), 1.0, tuple(blocks))


def toy_supernet(start: float, seed: int = 0) -> Supernet:
    """Args: start: how much likelier a slower candidate is at first, in nats."""
    net = Supernet(toy_space(), seed)
    net.stem, net.head = nn.Identity(), Sign()
    for b in range(BLOCKS):
        net.blocks[b] = nn.ModuleList(Gain(1 + 0.25 * j / (1 + 0.3 * b)) for j in range(WIDTH))
    with torch.no_grad():
        for alpha in net.alphas:
            alpha += start * torch.arange(WIDTH)
    return net


def settle(
    limits: list[Limit], start: float, config: ProxylessConfig, steps: int = 240
) -> list[float]:
    """Mean of expected latency over budget in the last quarter of the steps, for each limit."""
    net = toy_supernet(start, config.seed)
    alphas = AlphaSteps(net, limits, config)
    generator = torch.Generator().manual_seed(config.seed)
    ratios = torch.zeros(len(limits))
    for step in range(steps):
        labels = torch.randint(2, (32,), generator=generator)
        noise = torch.randn(32, *SHAPE, generator=generator)
        inputs = noise + 0.3 * (2 * labels - 1)[:, None, None, None]
        alphas.step(inputs, labels, generator, step / steps)
        if step >= 3 * steps // 4:
            with torch.no_grad():
                p = net.probabilities()
                now = [float(limit.matrix.expected_ms(p)) / limit.budget_ms for limit in limits]
            ratios += torch.tensor(now)
    return (ratios / (steps - 3 * steps // 4)).tolist()
