"""Several networks for one budget, drawn by the probabilities of a search.

The probabilities that a short search ends with hardly tell its likeliest network from the next
ones, and a short training of a few of them does. They are drawn by perturbing and maximising
(Papandreou and Yuille, "Perturb-and-MAP Random Fields", ICCV 2011): with Gumbel noise added to the
log-probabilities, the likeliest network within the budget is derived as it would be without. So
every network drawn is within the budget and near it, and networks nearly as likely as the likeliest
come nearly as often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from search.architecture import Architecture
from search.pricing import FloatArray

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
