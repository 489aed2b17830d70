"""How alike the logits of different images depend on their inputs."""

from __future__ import annotations

import torch

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_K = 1e-5


@proxy("Mellor et al., Neural Architecture Search without Training, arXiv 2006.04647v1, 2020")
def jacob_cov(context: ScoreContext) -> float:
    """How little the input gradients of images correlate: ``-sum_i log(v_i + k) + 1/(v_i + k)``.

    ``v`` are the eigenvalues of the correlation matrix of the rows ``d (sum of logits) / d x_i``,
    and ``k`` is 1e-5.

    Raises:
        InputError: an input gradient without variance, or one that is not finite.
    """
    rows = context.logit_gradients[0].flatten(1).double()
    if not bool(rows.isfinite().all()):
        raise context.fail("an input gradient is not finite")
    centred = rows - rows.mean(1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        raise context.fail("the input gradient of an image has no variance")
    unit = centred / lengths
    values = torch.linalg.eigvalsh(unit @ unit.T) + _K
    if not bool((values > 0).all()):
        raise context.fail("the correlation of input gradients has a negative eigenvalue")
    return -float((values.log() + 1 / values).sum())
