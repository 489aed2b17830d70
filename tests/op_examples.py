"""Ops of every kind at awkward sizes, and modules that look trained."""

from __future__ import annotations

import torch
from torch import nn

KEYS = [
    "conv/3x32x32/out=16,kernel=3,stride=2",
    "conv/5x9x14/out=7,kernel=5,stride=2,activation=relu",
    "conv/8x1x1/out=12,kernel=1,activation=none",
    "conv/2x3x2/out=3,kernel=7,stride=3",
    "depthwise_conv/6x15x11/kernel=3,stride=2",
    "depthwise_conv/4x2x3/kernel=5,stride=4,activation=none",
    "mbconv/8x16x16/out=8,kernel=3,stride=1,expand=6",
    "mbconv/8x13x7/out=8,kernel=7,stride=2,expand=3",
    "mbconv/16x9x9/out=16,kernel=5,stride=1,expand=1",
    "avg_pool/4x9x6/kernel=3,stride=2",
    "avg_pool/4x8x8/kernel=3,stride=2",
    "avg_pool/4x2x2/kernel=7",
    "max_pool/4x9x6/kernel=3,stride=2",
    "max_pool/3x5x5/kernel=5,stride=3",
    "global_avg_pool/12x7x5/",
    "linear/33/out=10",
    "identity/4x9x6/",
    "zero/4x9x6/",
    "zero/4x9x6/stride=2",
]


def trained(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with weights and statistics as after some training: none is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                positive = name.endswith("running_var")
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(drawn + 0.5 if positive else drawn - 0.4)
    return module.eval()


def inputs(shape: tuple[int, ...], batch: int) -> torch.Tensor:
    return 3 * torch.randn(batch, *shape, generator=torch.Generator().manual_seed(1))
