"""How independent the channels of a layer are."""

from __future__ import annotations

import torch

from search.proxies.base import proxy
from search.proxies.context import ScoreContext


@proxy("Jiang et al., MeCo, NeurIPS 2023")
def meco(context: ScoreContext) -> float:
    """Smallest eigenvalue of the correlation of a layer's channels, summed over layers.

    ``sum_l lambda_min(P_l)``: ``P_l`` is the Pearson correlation matrix of the channels that
    convolution ``l`` puts out, ``(C, H W)``, for one image of normal noise. Batch norm after it
    would not change it. The authors' code adds the outputs of all modules, rectifiers, pools and
    whole cells too, and takes what is not defined for 0.

    Raises:
        InputError: no convolution, or a channel that is constant.
    """
    outputs = context.traced(context.noise(1, *context.inputs.shape[1:])).convolutions
    if not outputs:
        raise context.fail("it has no convolution")
    total = 0.0
    for output in outputs:
        channels = output.detach()[0].flatten(1).double()
        centred = channels - channels.mean(1, keepdim=True)
        lengths = centred.norm(dim=1, keepdim=True)
        if not bool((lengths > 0).all()):
            raise context.fail("a channel is constant: its correlation is not defined")
        unit = centred / lengths
        total += float(torch.linalg.eigvalsh(unit @ unit.T)[0])
    return total
