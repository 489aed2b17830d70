"""Images that a small network learns in seconds."""

from __future__ import annotations

import torch
from torch import Tensor


def stripes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy images with a horizontal (0) or a vertical (1) stripe: ``(N, 3, 8, 8)``, ``(N,)``."""
    generator = torch.Generator().manual_seed(seed)
    inputs = 0.3 * torch.randn(count, 3, 8, 8, generator=generator)
    labels = torch.arange(count) % 2
    inputs[labels == 0, :, 3] += 2
    inputs[labels == 1, :, :, 3] += 2
    return inputs, labels
