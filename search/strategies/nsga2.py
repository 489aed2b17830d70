"""NSGA-II: not one best network but the front of value and latency, all of it within the budget.

Deb, Pratap, Agarwal, Meyarivan: "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation, 2002. Of parents and children together those survive
that the fewest fronts are better than, and of one front those that are least crowded. Parents are
the better of two drawn at random by the same order. A child takes each choice from one of its two
parents; where that network is over the budget it starts from the first parent instead; then one
block is redrawn among the candidates that keep it within.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from search.architecture import Architecture
from search.pareto import pareto_front
from search.pricing import FloatArray
from search.strategies.admissible import Admissible
from search.strategies.base import Evaluation, Ledger, Strategy, mutation, strangers


@dataclass(frozen=True)
class Nsga2(Strategy):
    """A front of value and latency; :attr:`~search.strategies.base.StrategyResult.front` holds it.

    Attributes:
        population: networks that survive, and children of a generation.

    Raises:
        InputError: a population below two.
    """

    population: int = 16

    def __post_init__(self) -> None:
        if self.population < 2:
            raise InputError(f"population={self.population}", "must be at least 2")

    @property
    def name(self) -> str:
        """``nsga2``."""
        return "nsga2"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Random networks, then generation after generation of children."""
        drawing, choosing = generator.spawn(2)
        fresh = strangers(admissible, ledger, drawing)
        alive: list[Evaluation] = []
        while True:
            born: list[Evaluation] = []
            while len(born) < self.population:
                child = _child(admissible, ledger, alive, choosing) if len(alive) > 1 else None
                if child is None:
                    child = next(fresh, None)
                if child is None:
                    return
                yield child
                born.append(ledger.last)
            # Failures die at once: they are on no front.
            both = [one for one in (*alive, *born) if one.value is not None]
            alive = [both[i] for i in survivors(*_figures(both), self.population)]


def _figures(evaluations: Sequence[Evaluation]) -> tuple[FloatArray, FloatArray]:
    values = np.array([one.score for one in evaluations])
    return values, np.array([one.latency_ms for one in evaluations])


def _child(
    admissible: Admissible,
    ledger: Ledger,
    alive: Sequence[Evaluation],
    generator: np.random.Generator,
) -> Architecture | None:
    """A child that may be evaluated, of parents from a list that is sorted, the best first."""
    for _ in range(len(alive)):
        mother, father = (
            alive[int(generator.choice(len(alive), 2, replace=False).min())].architecture
            for _ in range(2)
        )
        from_mother = generator.random(len(mother.choices)) < 0.5
        mixed = np.where(from_mother, mother.choices, father.choices).tolist()
        found = admissible.architecture(mixed)
        start = mother
        if found is None:
            ledger.refuse("not in the space")
        elif admissible.latency_ms(admissible.canonical(found)) > admissible.budget_ms:
            ledger.refuse("over budget")
        else:
            start = admissible.canonical(found)
        child = mutation(admissible, ledger, start, generator)
        if child is not None:
            return child
    return None


def survivors(values: FloatArray, latencies_ms: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """The points NSGA-II keeps, the best first: by front, and in a front the least crowded first.

    Args:
        values: larger is better, shape ``(n,)``, finite.
        latencies_ms: smaller is better, shape ``(n,)``.
        count: how many to keep, at most.

    Returns:
        Indices of the points, shape ``(min(count, n),)``.
    """
    left = np.arange(len(values))
    kept: list[int] = []
    while len(left) and len(kept) < count:
        # Points equal to one of the front are on the next: one of them is enough on this one.
        front = pareto_front(values[left], latencies_ms[left])
        crowding = crowding_distances(values[left[front]], latencies_ms[left[front]])
        kept += left[front][np.argsort(-crowding, kind="stable")].tolist()
        left = np.delete(left, front)
    return np.array(kept[:count], dtype=np.int64)


def crowding_distances(values: FloatArray, latencies_ms: FloatArray) -> FloatArray:
    """How far the two neighbours of each point of a front are apart, in shares of its extent.

    Args:
        values: of the points along the front, rising, shape ``(n,)``.
        latencies_ms: of the same points, rising too.

    Returns:
        Shape ``(n,)``; infinite at both ends.
    """
    distances = np.full(len(values), np.inf)
    if len(values) > 2:
        distances[1:-1] = 0.0
        for figure in (values, latencies_ms):
            distances[1:-1] += (figure[2:] - figure[:-2]) / (figure[-1] - figure[0])
    return distances
