"""How much gradients agree in size over batches."""

from __future__ import annotations

from torch import Tensor

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_SOURCE = "Li et al., ZiCo, ICLR 2023"


@proxy(_SOURCE)
def zico(context: ScoreContext) -> float:
    """Inverse coefficient of variation of gradients: ``sum_l log sum_w mean|g| / std|g|``.

    Mean and standard deviation are over batches: here over two halves of the batch. ``g`` is the
    gradient of the mean cross-entropy of a half by one weight of layer ``l``. Weights whose
    gradient does not vary are left out, and layers of such weights alone.

    Raises:
        InputError: no gradient reaches a weight, one that is not finite, or fewer than four images.
    """
    sizes = tuple(gradients.abs() for gradients in context.half_gradients)
    return _sum_of_layers(context, sizes, sizes)


@proxy(_SOURCE + "; as in the authors' code")
def zico_signed(context: ScoreContext) -> float:
    """ZiCo with the deviation of signed gradients: ``sum_l log sum_w mean|g| / std g``.

    The paper's formula takes the deviation of ``|g|``, the published code that of ``g``.

    Raises:
        InputError: as of ``zico``.
    """
    halves = context.half_gradients
    return _sum_of_layers(context, tuple(g.abs() for g in halves), halves)


def _sum_of_layers(
    context: ScoreContext, sizes: tuple[Tensor, ...], spreads: tuple[Tensor, ...]
) -> float:
    total, layers = 0.0, 0
    for size, spread in zip(sizes, spreads, strict=True):
        deviation = spread.double().std(0, correction=0)
        varies = deviation > 0
        if bool(varies.any()):
            total += float((size.double().mean(0)[varies] / deviation[varies]).sum().log())
            layers += 1
    if not layers:
        raise context.fail("no gradient varies from batch to batch")
    return total
