"""The moving average of a network's weights, which often does better than the last weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of weights and statistics, one update a step.

    ``average = decay * average + (1 - decay) * weights``, where the decay rises from 0.18 as
    ``(1 + n) / (10 + n)`` with the updates ``n``, so that the first weights, which are random, are
    soon forgotten.

    Args:
        model: whose weights.
        decay: at its highest, 0 to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def state(self) -> dict[str, object]:
        """Tensors and plain values that :meth:`restore` takes."""
        return {"updates": self.updates, "average": self.average}

    def restore(self, updates: int, average: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self.updates = updates
        for name, value in average.items():
            self.average[name].copy_(value)
