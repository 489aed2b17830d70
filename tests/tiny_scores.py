"""Small networks, in float64, on which every proxy can be computed by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search.proxies.context import ScoreContext


def network(seed: int = 0, *, norm: bool = True) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: list[nn.Module] = [
            nn.Conv2d(2, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ]
        return nn.Sequential(*parts).double()


def batch(samples: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(samples, 2, 6, 6, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(3, (samples,), generator=generator)


def context(model: nn.Module | None = None, samples: int = 6) -> ScoreContext:
    return ScoreContext(network() if model is None else model, *batch(samples))


def dead() -> nn.Sequential:
    """No gradient reaches a weight of it."""
    model = network()
    with torch.no_grad():
        model[0].weight.zero_()
        model[3].weight.zero_()
    return model
