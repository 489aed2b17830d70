"""AZ-NAS: four views of a network, whose ranks are multiplied.

Source: Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR
2024. The parts of a network are its blocks: here the parts of an ``nn.Sequential`` that put out
``(n, C, H, W)`` and are not batch norm and rectifiers alone. The fourth view, complexity, is
``flops``; :data:`PARTS` with :func:`search.proxies.ranking.rank_product` are the score. The authors
draw weights by Kaiming's rule and take noise for images; here they are the network's own and the
batch.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

PARTS = ("az_expressivity", "az_progressivity", "az_trainability", "flops")

_SOURCE = "Lee and Ham, AZ-NAS, CVPR 2024"
_EPSILON = 1e-6


@proxy(_SOURCE)
def az_expressivity(context: ScoreContext) -> float:
    """How evenly features spread over directions: ``sum_l -sum_i p_li log p_li``.

    ``p_l`` are the eigenvalues of the covariance of the channels that block ``l`` puts out, over
    images and positions, divided by their sum.

    Raises:
        InputError: fewer than two blocks, or one whose features are constant.
    """
    return sum(_entropies(context))


@proxy(_SOURCE)
def az_progressivity(context: ScoreContext) -> float:
    """The least gain in expressivity from one block to the next: ``min_l s_l - s_(l-1)``.

    Raises:
        InputError: fewer than two blocks, or one whose features are constant.
    """
    entropies = _entropies(context)
    return min(after - before for before, after in itertools.pairwise(entropies))


@proxy(_SOURCE)
def az_trainability(context: ScoreContext) -> float:
    """How near blocks keep gradients' size: mean over blocks of ``2 - s - 1/s``.

    ``s`` is the largest singular value of the mean over images and positions of ``g_in g_out^T``,
    where ``g_out`` are random signs of the shape of the block's output and ``g_in`` is what they
    become on the way back through the block; where it halves the size, positions of ``g_in`` are
    gathered into channels.

    Raises:
        InputError: fewer than two blocks, or one that hands gradients on as they are: the figure
            would be the best there is, of a block that does nothing.
    """
    blocks = _blocks(context)
    generator = context.generator()
    terms = []
    for before, after in itertools.pairwise(blocks):
        signs = torch.randint(0, 2, after.shape, generator=generator).to(after) * 2 - 1
        given = context.gradients((after * signs).sum(), (before,))[0]
        if given.shape == signs.shape and torch.equal(given, signs):
            raise context.fail("a block hands gradients on as they are")
        largest = float(torch.linalg.matrix_norm(_mean_product(given, signs), 2))
        terms.append(2 - largest - 1 / (largest + _EPSILON))
    return sum(terms) / len(terms)


def _blocks(context: ScoreContext) -> tuple[Tensor, ...]:
    blocks = context.trace.blocks
    if len(blocks) < 2:
        raise context.fail("it is not an nn.Sequential of two blocks or more")
    return blocks


def _entropies(context: ScoreContext) -> list[float]:
    entropies = []
    for block in _blocks(context):
        features = block.detach().transpose(0, 1).flatten(1).double()
        centred = features - features.mean(1, keepdim=True)
        values = torch.linalg.eigvalsh(centred @ centred.T).clamp(min=0)
        if not bool(values[-1] > 0):
            raise context.fail("the features of a block are constant")
        entropies.append(float(torch.special.entr(values / values.sum()).sum()))
    return entropies


def _mean_product(given: Tensor, signs: Tensor) -> Tensor:
    """Mean over images and positions of ``g_in g_out^T``, shape ``(C_in, C_out)``."""
    stride = given.shape[2] // signs.shape[2]
    if stride > 1:
        given = F.pixel_unshuffle(given, stride)
    rows, columns = (g.transpose(0, 1).flatten(1) for g in (given, signs))
    return (rows @ columns.T).double() / rows.shape[1]
