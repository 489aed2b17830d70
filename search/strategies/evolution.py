"""Regularised evolution: the best of a few has a child, and the oldest of all dies.

Real, Aggarwal, Huang, Le: "Regularized Evolution for Image Classifier Architecture Search", AAAI
2019. The first networks are uniform draws from the admissible set. A mutation redraws one block
among the candidates that keep the network within the budget, so no child is lost to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from devices.errors import InputError
from search.architecture import Architecture
from search.strategies.admissible import Admissible
from search.strategies.base import Evaluation, Ledger, Strategy, mutation, strangers


@dataclass(frozen=True)
class RegularizedEvolution(Strategy):
    """Evolution with tournaments, in which networks die of age alone.

    Attributes:
        population: networks alive at a time; the first ones are random. The paper's 100 is for
            20,000 trainings.
        sample: networks of a tournament; the best of them is the parent. The paper's is a quarter
            of the population; half of it finds more in a hundred trainings.

    Raises:
        InputError: a population below one, or a tournament that is none or larger than it.
    """

    population: int = 16
    sample: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.sample <= self.population:
            raise InputError(
                f"tournaments of {self.sample} in a population of {self.population}",
                "must be at least 1 and at most the population",
            )

    @property
    def name(self) -> str:
        """``evolution``."""
        return "evolution"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Random networks, then children of the best of a few."""
        drawing, choosing = generator.spawn(2)
        fresh = strangers(admissible, ledger, drawing)
        alive: deque[Evaluation] = deque(maxlen=self.population)
        while True:
            child = None
            if len(alive) == self.population:
                child = self._child(admissible, ledger, alive, choosing)
            if child is None:
                # None is born where all neighbours were evaluated: a stranger comes instead.
                child = next(fresh, None)
            if child is None:
                return
            yield child
            alive.append(ledger.last)

    def _child(
        self,
        admissible: Admissible,
        ledger: Ledger,
        alive: deque[Evaluation],
        generator: np.random.Generator,
    ) -> Architecture | None:
        """A mutation of the winner of a tournament; of another one's where it has none left."""
        for _ in range(self.population):
            drawn = generator.choice(len(alive), self.sample, replace=False)
            # Failures score below all: one is a parent only where all of the tournament failed.
            parent = max((alive[i] for i in drawn), key=lambda one: one.score)
            child = mutation(admissible, ledger, parent.architecture, generator)
            if child is not None:
                return child
        return None
