"""The gradient kernel of KNAS as proxies; its formula is in :mod:`search.gradient_kernel`."""

from __future__ import annotations

import math

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_SOURCE = "Xu et al., KNAS: Green Neural Architecture Search, ICML 2021"


@proxy(_SOURCE)
def mgm(context: ScoreContext) -> float:
    """Mean of the Gram matrix of per-sample gradients, by all parameters.

    ``|| 1/n sum_i g_i ||^2``, where ``g_i`` is the gradient of the sum of the logits of sample
    ``i`` and batch norm is held at the statistics of the batch.

    Raises:
        InputError: no parameter has a part in the output, or a gradient that is not finite.
    """
    return math.fsum(context.kernel.values())


@proxy(_SOURCE + "; a variant of Lutier's")
def mgm_batch(context: ScoreContext) -> float:
    """The same by weights of convolutions and linear layers, batch norm differentiated.

    ``|| 1/n grad_w sum_i sum_c logit_ic ||^2``: the statistics of the batch are part of the graph,
    as in training, so that the ``g_i`` are those of samples within this batch.

    Raises:
        InputError: no gradient reaches a weight, or one that is not finite.
    """
    gradients = context.checked(context.logit_gradients[1])
    squares = sum(float(gradient.double().square().sum()) for gradient in gradients)
    return squares / len(context.inputs) ** 2


@proxy(_SOURCE + "; a variant of Lutier's")
def mgm_layers(context: ScoreContext) -> float:
    """Sum over parameter tensors of ``log(1 + MGM)`` of the gradients by that tensor alone.

    No single layer decides, as the largest does in the plain sum.

    Raises:
        InputError: as of ``mgm``.
    """
    return math.fsum(math.log1p(part) for part in context.kernel.values())


@proxy(_SOURCE + "; a variant of Lutier's")
def mgm_per_parameter(context: ScoreContext) -> float:
    """MGM divided by the number of parameters: the mean square of the mean gradient.

    Raises:
        InputError: as of ``mgm``.
    """
    count = sum(p.numel() for p in context.model.parameters() if p.requires_grad)
    return math.fsum(context.kernel.values()) / count
