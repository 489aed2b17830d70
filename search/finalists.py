"""Several networks for one budget, drawn by the probabilities of a search, and changes of them.

The probabilities that a short search ends with hardly tell its likeliest network from the next
ones, and a short training of a few of them does. They are drawn by perturbing and maximising
(Papandreou and Yuille, "Perturb-and-MAP Random Fields", ICCV 2011): with Gumbel noise added to the
log-probabilities, the likeliest network within the budget is derived as it would be without. So
every network drawn is within the budget and near it, and networks nearly as likely as the likeliest
come nearly as often.

Once some of them are trained, the best is as good a start as the probabilities: the networks one
change away from it come next, as the children of evolution do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from search.architecture import Architecture
from search.pricing import FloatArray
from search.spaces.base import ChainSpace

Derive = Callable[[Sequence[FloatArray]], Architecture]
"""The network that log-probabilities, an array ``(candidates,)`` for each block, stand for."""

DRAWS = 8
"""Draws for each network wanted, after which no more different ones are looked for."""


def draw_finalists(
    derive: Derive,
    log_probabilities: Sequence[npt.ArrayLike],
    count: int,
    generator: np.random.Generator,
) -> Iterator[Architecture]:
    """Different networks: the likeliest, then others, as they are asked for.

    Args:
        derive: finds the likeliest network within the budget.
        log_probabilities: for each block an array ``(candidates,)``, natural logarithms.
        count: how many at most; there may be fewer where the probabilities are nearly certain.
        generator: the same state draws the same networks.

    Raises:
        BudgetError, InputError: as ``derive`` does.
    """
    blocks = [np.asarray(block, dtype=np.float64) for block in log_probabilities]
    seen: set[Architecture] = set()
    for draw in range(count * DRAWS):
        noise = [generator.gumbel(size=block.shape) if draw else 0.0 for block in blocks]
        network = derive([block + each for block, each in zip(blocks, noise, strict=True)])
        if network not in seen:
            seen.add(network)
            yield network
        if len(seen) == count:
            return


def changes(
    space: ChainSpace, network: Architecture, generator: np.random.Generator
) -> list[Architecture]:
    """Networks with another candidate in one block, in random order.

    Each is written as :meth:`ChainSpace.representative` does; those that are the same network come
    once, and the network itself does not.

    Args:
        space: that the network is of.
        network: that is changed.
        generator: the same state gives the same order.
    """
    start = space.representative(network)
    found: dict[Architecture, None] = {}
    for block, width in enumerate(space.widths):
        for candidate in range(width):
            choices = list(start.choices)
            choices[block] = candidate
            found[space.representative(space.architecture(choices))] = None
    found.pop(start, None)
    others = list(found)
    return [others[i] for i in generator.permutation(len(others))]
