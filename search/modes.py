"""Models run otherwise than they were found, and left as they were."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from devices.errors import InputError


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside, and in the mode it was found in afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class BatchNormMode(TorchFunctionMode):
    """Inside, :meth:`batch_norm` is what batch norms compute."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self.batch_norm(*args, **kwargs)
        return func(*args, **kwargs)

    @abstractmethod
    def batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """In place of :func:`torch.nn.functional.batch_norm`, with its arguments."""


def check_has_variance(x: Tensor) -> None:
    """Raise :class:`InputError` where a batch ``(n, channels, ...)`` has one value a channel."""
    if x.numel() == x.shape[1]:
        raise InputError(
            f"batch norm over {tuple(x.shape)}",
            "one value per channel has no variance",
            "a batch of two or more",
        )
