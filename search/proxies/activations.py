"""Proxies that look at which rectifiers are on: ReLU, ReLU6 and hard swish."""

from __future__ import annotations

import torch
from torch import Tensor

from search.proxies.base import proxy
from search.proxies.context import ScoreContext, Trace

_REGION_SAMPLES = 1000
_REGION_SIZE = 4
_BITS = 62


def _patterns(context: ScoreContext, trace: Trace) -> tuple[Tensor, ...]:
    if not trace.patterns:
        raise context.fail("it has no ReLU, ReLU6 or hard swish module")
    return trace.patterns


@proxy("Mellor et al., Neural Architecture Search without Training, ICML 2021")
def naswot(context: ScoreContext) -> float:
    """How differently images switch rectifiers on: ``log |det K|``.

    ``K_ij`` is the number of units that are both on or both off for the images ``i`` and ``j``,
    over all rectifiers.

    Raises:
        InputError: no rectifier, or two images with the same pattern, which no determinant tells
            from worse.
    """
    size = len(context.inputs)
    kernel = torch.zeros(size, size, dtype=torch.float64)
    for pattern in _patterns(context, context.trace):
        signs = pattern.float() * 2 - 1
        # Products of signs count agreements less disagreements.
        agreed = (signs @ signs.T + signs.shape[1]) / 2
        kernel += agreed.double().cpu()
    sign, logarithm = torch.linalg.slogdet(kernel)
    if not bool(sign) or not bool(logarithm.isfinite()):
        raise context.fail("some images switch on the same units: K is singular")
    return float(logarithm)


@proxy("Chen et al., TE-NAS, ICLR 2021")
def linear_regions(context: ScoreContext) -> float:
    """Number of linear regions that random images fall into: of different patterns of all units.

    1,000 images of 4x4 normal numbers, as TE-NAS takes 1,000 of 3x3. TE-NAS counts in networks of
    one channel; in wider ones every image has a region of its own, and the figure says nothing.

    Raises:
        InputError: no rectifier.
    """
    channels = context.inputs.shape[1]
    noise = context.noise(_REGION_SAMPLES, channels, _REGION_SIZE, _REGION_SIZE)
    patterns = torch.cat(_patterns(context, context.traced(noise)), 1)
    return float(_different(patterns))


@proxy("Peng et al., SWAP-NAS, ICLR 2024")
def swap(context: ScoreContext) -> float:
    """Number of different patterns over the images that units have: sample-wise activation.

    Each unit of each rectifier has one pattern: for which of the ``n`` images it is on.

    Raises:
        InputError: no rectifier.
    """
    patterns = torch.cat(_patterns(context, context.trace), 1)
    return float(_different(patterns.T))


def _different(rows: Tensor) -> int:
    """Number of different rows of a boolean ``(rows, columns)``."""
    words = []
    for start in range(0, rows.shape[1], _BITS):
        part = rows[:, start : start + _BITS]
        places = 2 ** torch.arange(part.shape[1], device=rows.device)
        words.append((part * places).sum(1))
    if len(words) == 1:
        return len(torch.unique(words[0]))
    return len(torch.unique(torch.stack(words, 1), dim=0))
