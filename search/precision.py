"""Training in 32-bit floats, or in 16-bit ones where that is safe."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


class Precision:
    """How a device computes in training.

    Args:
        device: torch device.
        mixed: whether it computes in bfloat16, or in float16 where it has no other, which needs
            losses scaled up so that gradients do not vanish (Micikevicius et al.: "Mixed Precision
            Training", ICLR 2018). For CUDA devices only.
    """

    def __init__(self, device: str, *, mixed: bool) -> None:
        self._half = _half(device) if mixed else None
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._half is torch.float16)

    def autocast(self) -> AbstractContextManager[Any]:
        """Forward passes run inside."""
        return nullcontext() if self._half is None else torch.autocast("cuda", dtype=self._half)

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of a loss, scaled where floats are short."""
        torch.autograd.backward(self._scaler.scale(loss))

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Step an optimizer by the gradients, unless scaling has made them overflow."""
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` takes."""
        return self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state)


def _half(device: str) -> torch.dtype:
    """The 16-bit floats that a CUDA device computes in."""
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
