"""Condition of the neural tangent kernel."""

from __future__ import annotations

import torch

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_SAMPLES = 16
_EPSILON = 1e-10


@proxy("Chen et al., TE-NAS, ICLR 2021", higher_is_better=False)
def ntk_condition(context: ScoreContext) -> float:
    """Condition number of the neural tangent kernel: its largest eigenvalue over its smallest.

    ``K_ij = <g_i, g_j>``, ``g_i`` the gradient of the sum of the logits of image ``i`` by all
    weights, batch norm normalising by the batch; the first 16 images.

    Raises:
        InputError: no gradient reaches a weight, or a kernel that is singular in float32.
    """
    logits = context.forward(context.inputs[:_SAMPLES])
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in context.gradients(total, context.weights)])
            for total in logits.sum(1)
        ]
    )
    context.checked((rows,))
    rows = rows.double()
    values = torch.linalg.eigvalsh(rows @ rows.T)
    smallest, largest = float(values[0]), float(values[-1])
    if smallest <= _EPSILON * largest:
        raise context.fail("its tangent kernel is singular: images have the same gradients")
    return largest / smallest
