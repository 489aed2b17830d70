"""How strongly the samples of a batch pull a network the same way, before any training.

KNAS (Xu et al., ICML 2021) scores a freshly initialised network by the mean of the Gram matrix of
its per-sample gradients ``g_i`` (MGM; larger is better)::

    MGM = 1/n^2 * sum_ij <g_i, g_j> = || 1/n * sum_i g_i ||^2

The right-hand side needs no per-sample gradients: one backward pass of the mean output gives it
exactly, provided that no sample's output depends on the other samples. Batch norm breaks that in
training mode, so its statistics are held constant here.

The authors' published code computes something else: gradients of the cross-entropy of single
samples, each normalised by its own statistics; of these the first 50 coordinates of the first 11
tensors; and from them a centred covariance between sample ``k`` and sample ``k + 25`` instead of
the mean of the Gram matrix. This module computes the formula of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from devices.errors import InputError, UnknownNameError
from search.modes import BatchNormMode, check_has_variance, evaluating

Output = Literal["logits", "loss"]
BatchNorm = Literal["frozen", "running"]

_OUTPUTS = ("logits", "loss")
_BATCH_NORMS = ("frozen", "running")


def mean_gram(
    model: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor | None = None,
    output: Output = "logits",
    batch_norm: BatchNorm = "frozen",
) -> float:
    """The mean of the Gram matrix of per-sample gradients, by one backward pass.

    The gradient is taken with respect to every parameter that requires one. Dropout is off. The
    model is left as it was: mode, buffers, gradients, and torch's random generators.

    Args:
        model: maps ``(n, ...)`` to logits ``(n, classes)``.
        inputs: the batch, shape ``(n, ...)``.
        targets: class indices, shape ``(n,)``; needed for ``output="loss"``, else not looked at.
        output: what is differentiated for each sample: ``logits``, the sum of its logits, or
            ``loss``, its cross-entropy.
        batch_norm: the constants that batch norm normalises with. ``frozen``: mean and (biased)
            variance of this very batch, taken in the same forward pass and not differentiated, so
            that outputs are those of training mode. ``running``: the layers' running statistics,
            as in evaluation mode; in a network that never saw data these are 0 and 1, so that
            nothing is normalised and the score follows the scale of the initial weights.

    Returns:
        The mean of the Gram matrix, at least 0.

    Raises:
        InputError: no parameter to differentiate; outputs, targets and inputs that do not fit one
            another; batch norm without the statistics asked for; outputs or a gradient that are not
            finite, which makes the score not small but unknown.
        UnknownNameError: an output or batch norm of another name.
    """
    return math.fsum(mean_gram_parts(model, inputs, targets, output, batch_norm).values())


def mean_gram_parts(
    model: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor | None = None,
    output: Output = "logits",
    batch_norm: BatchNorm = "frozen",
) -> dict[str, float]:
    """The share of each parameter tensor in :func:`mean_gram`: the shares add up to it.

    A share is the mean of the Gram matrix of the gradients with respect to that tensor alone.
    Arguments and errors are those of :func:`mean_gram`; parameters that the output does not depend
    on are left out.
    """
    for noun, chosen, known in (
        ("output", output, _OUTPUTS),
        ("batch norm", batch_norm, _BATCH_NORMS),
    ):
        if chosen not in known:
            raise UnknownNameError.of(noun, chosen, known)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not named:
        raise InputError(
            f"{type(model).__name__} has no gradient kernel",
            "it has no parameter that requires a gradient",
        )
    if inputs.ndim == 0 or not len(inputs):
        raise InputError(f"inputs of shape {tuple(inputs.shape)}", "a batch of at least one sample")
    with (
        _left_as_found(model),
        torch.enable_grad(),
        _ConstantStatistics(from_batch=batch_norm == "frozen"),
    ):
        mean_output = _mean_output(model(inputs), len(inputs), targets, output)
        if not bool(mean_output.isfinite()):
            # A rectifier passes no gradient where it is given NaN: those would seem to be fine.
            raise InputError(
                f"{type(model).__name__} cannot be scored", "its outputs are not finite"
            )
        gradients: tuple[torch.Tensor | None, ...] = (None,) * len(named)
        if mean_output.requires_grad:
            gradients = torch.autograd.grad(mean_output, tuple(named.values()), allow_unused=True)
    squares = {
        name: torch.linalg.vector_norm(gradient, dtype=torch.float64).square()
        for name, gradient in zip(named, gradients, strict=True)
        if gradient is not None
    }
    if not squares:
        raise InputError(
            f"{type(model).__name__} has no gradient kernel", "its output depends on no parameter"
        )
    parts = dict(zip(squares, torch.stack(tuple(squares.values())).tolist(), strict=True))
    for name, part in parts.items():
        if not math.isfinite(part):
            raise InputError(
                f"{type(model).__name__} cannot be scored", f"the gradient of {name} is not finite"
            )
    return parts


def _mean_output(
    logits: object, samples: int, targets: torch.Tensor | None, output: Output
) -> torch.Tensor:
    """What is differentiated, averaged over the samples: a scalar."""
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != samples:
        shape = getattr(logits, "shape", type(logits).__name__)
        raise InputError(
            f"output {shape if isinstance(shape, str) else tuple(shape)}",
            f"a batch of {samples} wants logits ({samples}, classes)",
        )
    if output == "logits":
        return logits.sum(1).mean()
    if targets is None:
        raise InputError("output='loss' needs targets")
    classes = logits.shape[1]
    if targets.shape != (samples,) or targets.is_floating_point():
        raise InputError(
            f"targets of shape {tuple(targets.shape)} and type {targets.dtype}",
            f"a batch of {samples} wants {samples} class indices",
        )
    if not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise InputError(
            f"targets from {int(targets.min())} to {int(targets.max())}",
            f"the network has {classes} classes",
        )
    return F.cross_entropy(logits, targets.long())


@contextmanager
def _left_as_found(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; mode and random generators as before afterwards."""
    tensors = (*model.parameters(), *model.buffers())
    cards = sorted({tensor.device.index or 0 for tensor in tensors if tensor.is_cuda})
    with torch.random.fork_rng(devices=cards), evaluating(model):
        yield


class _ConstantStatistics(BatchNormMode):
    """Inside, batch norm normalises with constants and leaves its running statistics alone."""

    def __init__(self, from_batch: bool) -> None:
        super().__init__()
        self.from_batch = from_batch

    def batch_norm(
        self,
        x: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        if self.from_batch:
            mean, var = _batch_statistics(x)
        elif running_mean is None or running_var is None:
            raise InputError(
                "batch_norm='running'",
                "a batch norm keeps no running statistics",
                "batch_norm='frozen'",
            )
        else:
            mean, var = running_mean, running_var
        return F.batch_norm(x, mean, var, weight, bias, False, momentum, eps)


def _batch_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and biased variance of each channel of ``(n, channels, ...)``, as constants."""
    x = x.detach()
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = [axis for axis in range(x.ndim) if axis != 1]
    check_has_variance(x)
    mean = x.mean(axes)
    # Two passes: torch.var_mean is ten times slower over these axes on a CPU.
    centred = x - mean.view(-1, *[1] * (x.ndim - 2))
    return mean, centred.square_().mean(axes)
