"""Local search: go to a better neighbour while there is one, then start again elsewhere.

White, Nolen, Savani: "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021. Each
climb begins at a uniform draw from the admissible set, and only goes to neighbours within the
budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from search.architecture import Architecture
from search.strategies.admissible import Admissible
from search.strategies.base import Evaluation, Ledger, Strategy, strangers


@dataclass(frozen=True)
class LocalSearch(Strategy):
    """Climbs from random networks.

    Attributes:
        steepest: whether all neighbours are evaluated before the best of them is gone to, as in
            the paper; otherwise the first one that is better is gone to at once, which is cheaper
            where networks have many neighbours.
    """

    steepest: bool = False

    @property
    def name(self) -> str:
        """``local``."""
        return "local"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """A random network, neighbours while one is better, then the next random network."""
        drawing, choosing = generator.spawn(2)
        for start in strangers(admissible, ledger, drawing):
            yield start
            current: Evaluation | None = ledger.last
            while current is not None:
                height, top = current.score, current
                neighbours = admissible.neighbours(current.architecture)
                ledger.refuse("over budget", neighbours.over_budget)
                around = [a for group in neighbours.within for a in group]
                for i in choosing.permutation(len(around)):
                    if ledger.is_open(around[i]):
                        yield around[i]
                    else:
                        # Its value is known from an earlier climb, and costs nothing.
                        ledger.refuse("already evaluated")
                    found = ledger.evaluation_of(around[i])
                    if found.score > top.score:
                        top = found
                        if not self.steepest:
                            break
                current = top if top.score > height else None
