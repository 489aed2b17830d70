"""Saliencies that were made to prune weights, summed over a network.

As proxies of whole networks: Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR
2021. Below, ``L`` is the mean cross-entropy of the batch and ``w`` runs over the weights of all
convolutions and linear layers.
"""

from __future__ import annotations

import torch

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_AS_PROXY = "; as a proxy: Abdelfattah et al., ICLR 2021"


@proxy("Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021")
def grad_norm(context: ScoreContext) -> float:
    """Sum over layers of the Euclidean norm of the loss gradient: ``sum_l || dL/dw_l ||``.

    Raises:
        InputError: no gradient reaches a weight, or one that is not finite.
    """
    return sum(float(gradient.double().norm()) for gradient in context.loss_gradients.weights)


@proxy("Lee et al., SNIP, ICLR 2019" + _AS_PROXY)
def snip(context: ScoreContext) -> float:
    """What the loss would change by if a weight were taken away, summed: ``sum_w |w dL/dw|``.

    Raises:
        InputError: no gradient reaches a weight, or one that is not finite.
    """
    pairs = zip(context.weights, context.loss_gradients.weights, strict=True)
    return sum(float((w.detach() * g).double().abs().sum()) for w, g in pairs)


@proxy("Wang et al., GraSP, ICLR 2020" + _AS_PROXY)
def grasp(context: ScoreContext) -> float:
    """How much gradient flow is kept: ``-sum_w w (H g)``, ``g = dL/dw``, ``H`` the Hessian.

    ``H g`` is the gradient of ``<g, stop(g)>``. The loss is taken at a temperature of 1.

    Raises:
        InputError: no gradient reaches a weight, or one that is not finite.
    """
    gradients = context.checked(context.gradients(context.loss, context.weights, create_graph=True))
    product = torch.stack([(g * g.detach()).sum() for g in gradients]).sum()
    flows = context.gradients(product, context.weights)
    pairs = zip(context.weights, flows, strict=True)
    return -sum(float((w.detach() * flow).double().sum()) for w, flow in pairs)


@proxy("Turner et al., BlockSwap, ICLR 2020, after Theis et al., 2018" + _AS_PROXY)
def fisher(context: ScoreContext) -> float:
    """Fisher information of the channels that convolutions put out, summed.

    ``sum_c 1/(2n) sum_i (sum_hw a_ichw dL/da_ichw)^2`` for each convolution, where ``a`` is its
    output of shape ``(n, C, H, W)``.

    Raises:
        InputError: no convolution, no gradient, or one that is not finite.
    """
    outputs = context.trace.convolutions
    if not outputs:
        raise context.fail("it has no convolution")
    total = 0.0
    for output, gradient in zip(outputs, context.loss_gradients.convolutions, strict=True):
        channels = (output.detach() * gradient).double().sum((2, 3))
        total += float(channels.square().mean(0).sum()) / 2
    return total


@proxy("Tanaka et al., SynFlow, NeurIPS 2020" + _AS_PROXY)
def synflow(context: ScoreContext) -> float:
    """Synaptic flow, without data: ``sum_w w dR/dw``, ``R`` the logits of an image of ones.

    All parameters are replaced by their absolute values, in float64, and batch norm hands on what
    it is given.

    Raises:
        InputError: no flow reaches a weight, or more than a float64 holds.
    """
    model, weights = context.model, context.weights
    ones = torch.ones(1, *context.inputs.shape[1:], dtype=torch.float64).to(context.inputs.device)
    named = {
        name: p.detach().double().abs().requires_grad_() for name, p in model.named_parameters()
    }
    of = {id(p): named[name] for name, p in model.named_parameters()}
    positive = [of[id(weight)] for weight in weights]
    logits = context.forward(ones, "removed", parameters=named)
    flows = context.checked(context.gradients(logits.sum(), positive))
    return sum(float((w.detach() * flow).sum()) for w, flow in zip(positive, flows, strict=True))
