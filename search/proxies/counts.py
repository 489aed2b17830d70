"""How large a network is: what every other proxy has to beat."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_SOURCE = "Dong and Yang, NAS-Bench-201, ICLR 2020; as proxies: Ning et al., NeurIPS 2021"


@proxy(_SOURCE)
def parameters(context: ScoreContext) -> float:
    """Number of trainable parameters.

    Raises:
        InputError: there are none.
    """
    count = sum(p.numel() for p in context.model.parameters() if p.requires_grad)
    if not count:
        raise context.fail("it has no parameter that requires a gradient")
    return float(count)


@proxy(_SOURCE)
def flops(context: ScoreContext) -> float:
    """Floating-point operations of one image, two for each multiply-accumulate.

    By the convention of ``torch.utils.flop_counter``: convolutions and products count, additions,
    pooling and batch norm do not.

    Raises:
        InputError: there are none.
    """
    # Two images: batch norm cannot do with one value a channel.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        context.forward(context.inputs[:2])
    if not counter.get_total_flops():
        raise context.fail("it has no convolution and no product")
    return float(counter.get_total_flops()) / 2
