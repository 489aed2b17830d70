"""Binary gates of a block, and what their gradients say of its architecture parameters.

ProxylessNAS (Cai, Zhu, Han, ICLR 2019, section 3.2.1). A block's output is ``sum_j g_j o_j(x)``
with one gate 1 and all others 0, so only the active candidate is in it. In the backward pass

    dL/dg_j     = <dL/dout, o_j(x)>
    dL/dalpha_i = sum_j dL/dg_j p_j (delta_ij - p_i),    p = softmax(alpha)

An inactive output is needed for the first line only. It is kept from the forward pass, or made in
the backward pass, one candidate after the other, when it costs no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from search.batch_norm import frozen_statistics


class _Kept(torch.autograd.Function):
    """The active output; the inactive ones wait for the backward pass."""

    @staticmethod
    def forward(ctx: Any, active: Tensor, gates: Tensor, *inactive: Tensor) -> Tensor:
        ctx.save_for_backward(active, *inactive)
        return active.view_as(active)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        outputs = ctx.saved_tensors
        products = torch.stack([_inner(grad, output) for output in outputs])
        return grad, products, *(None for _ in outputs[1:])


class _Recomputed(torch.autograd.Function):
    """The active output; the inactive ones are made in the backward pass, and dropped at once."""

    @staticmethod
    def forward(
        ctx: Any, active: Tensor, gates: Tensor, x: Tensor, inactive: Sequence[nn.Module]
    ) -> Tensor:
        ctx.save_for_backward(active, x)
        ctx.inactive = inactive
        # The backward pass runs outside of what the forward pass ran in.
        is_mixed = torch.is_autocast_enabled(x.device.type)
        ctx.half = torch.get_autocast_dtype(x.device.type) if is_mixed else None
        return active.view_as(active)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        active, x = ctx.saved_tensors
        products = [_inner(grad, active)]
        with (
            torch.no_grad(),
            frozen_statistics(ctx.inactive),
            torch.autocast(x.device.type, dtype=ctx.half, enabled=ctx.half is not None),
        ):
            products += [_inner(grad, module(x)) for module in ctx.inactive]
        return grad, torch.stack(products), None, None


def _inner(grad: Tensor, output: Tensor) -> Tensor:
    """In 32-bit floats or longer: a sum over a whole batch is too much for 16-bit ones."""
    return (grad.to(torch.promote_types(grad.dtype, torch.float32)) * output).sum()


def gated(
    active: Tensor, x: Tensor, inactive: Sequence[nn.Module], *, recompute: bool = False
) -> tuple[Tensor, Tensor]:
    """A block's output, and the gates of its candidates to differentiate it with respect to.

    An inactive output is never multiplied into the result, so an infinity in it cannot make the
    result NaN; it shows in the gradient of its gate.

    Args:
        active: output of the active candidate, ``(N, C, H, W)``.
        x: what the block was given.
        inactive: the other candidates that take part; their weights are treated as constants, and
            batch norm goes by the batch.
        recompute: run them in the backward pass, one by one, instead of now. The gradients are the
            same.

    Returns:
        The active output, and gates ``(1 + inactive,)``, valued 1, 0, 0, ...
    """
    gates = torch.zeros(1 + len(inactive), device=x.device)
    gates[0] = 1.0
    gates.requires_grad_()
    if recompute:
        function, rest = _Recomputed.apply, (x, inactive)
    else:
        with torch.no_grad(), frozen_statistics(inactive):
            function, rest = _Kept.apply, tuple(module(x) for module in inactive)
    return function(active, gates, *rest), gates  # type: ignore[no-untyped-call]  # torch leaves apply untyped


def gate_to_alpha(gate_gradients: Tensor, alphas: Tensor) -> Tensor:
    """Gradient of the loss with respect to alphas from the one with respect to their gates.

    ``dL/dalpha_i = sum_j dL/dg_j q_j (delta_ij - q_i)`` with ``q = softmax(alphas)``, ProxylessNAS
    equation 4.

    Args:
        gate_gradients: of the candidates that take part, ``(n,)``.
        alphas: of the same candidates, ``(n,)``.
    """
    q = torch.softmax(alphas, 0)
    return q * (gate_gradients - (q * gate_gradients).sum())
