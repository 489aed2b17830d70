"""What every strategy is: networks to evaluate, one after the other, and one way to count them.

A strategy is a loop that proposes a network, and reads in the ledger how well it did.
:meth:`Strategy.search` does the rest, the same for all: the number of evaluations, which is the
number of trainings, is the currency. No network is evaluated twice, none over the budget at all.

A search goes on from its history by being repeated: proposals depend on the seed and on the values
so far only, so the networks of the history are proposed again, and their values are looked up.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from devices.errors import DivergedError, InputError
from search.architecture import Architecture
from search.pareto import pareto_front
from search.strategies.admissible import Admissible

Evaluate = Callable[[Architecture], float]
Refusal = Literal["over budget", "already evaluated", "not in the space"]
Stop = Literal["evaluations", "seconds", "nothing left"]


@dataclass(frozen=True)
class Evaluation:
    """One network that was evaluated.

    Attributes:
        order: which evaluation of the search it was, from 0.
        architecture: which network.
        value: larger is better; ``None`` where the evaluation failed.
        latency_ms: predicted, in ms.
        seconds: that the evaluation took.
        failure: why it failed; empty where it did not.
    """

    order: int
    architecture: Architecture
    value: float | None
    latency_ms: float
    seconds: float
    failure: str = ""

    @property
    def score(self) -> float:
        """The value, below all others where the evaluation failed."""
        return -math.inf if self.value is None else self.value

    def row(self) -> dict[str, Any]:
        """Plain values, for a file of JSON."""
        return {**asdict(self), "architecture": self.architecture.id}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Evaluation:
        """Read an evaluation back from its :meth:`row`.

        Raises:
            InputError: fields that are missing, unknown or no figures, or no architecture.
        """
        try:
            read = cls(**{**row, "architecture": Architecture.parse(row["architecture"])})
            numbers = (read.order, read.latency_ms, read.seconds, read.value or 0.0)
            finite = all(map(math.isfinite, numbers))
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{dict(row)} is not an evaluation", str(error)) from error
        if not finite or not isinstance(read.failure, str):
            raise InputError(f"{dict(row)} is not an evaluation", "its figures are not all finite")
        return read


@dataclass(frozen=True)
class StrategyResult:
    """What a strategy found.

    Attributes:
        strategy: its name.
        history: every evaluation, in order.
        refused: how many networks it came upon and did not evaluate, by reason.
        stop: what ended it: all evaluations were made, the time was over, or there was no network
            left that it had not evaluated.
        budget_ms: latency budget in ms.
        seed: of everything random.
    """

    strategy: str
    history: tuple[Evaluation, ...]
    refused: Mapping[Refusal, int]
    stop: Stop
    budget_ms: float
    seed: int

    @property
    def best(self) -> Evaluation:
        """The evaluation of highest value, of equals the fastest network.

        Raises:
            DivergedError: all evaluations failed.
        """
        best = max(self.history, key=lambda one: (one.score, -one.latency_ms))
        if best.value is None:
            raise DivergedError(
                f"all {len(self.history)} networks failed",
                self.history[0].failure,
                "a lower learning rate",
            )
        return best

    @property
    def front(self) -> tuple[Evaluation, ...]:
        """The evaluations that no other is better than in value and latency, the fastest first."""
        found = [one for one in self.history if one.value is not None]
        indices = pareto_front([one.score for one in found], [one.latency_ms for one in found])
        return tuple(found[i] for i in indices)

    @property
    def seconds(self) -> float:
        """That all evaluations took together."""
        return math.fsum(one.seconds for one in self.history)


class Ledger:
    """What was evaluated so far, and what was refused.

    Args:
        repeats: whether a network may be evaluated again.

    Attributes:
        history: every evaluation, in order.
        refused: networks that were not evaluated, by reason.
        repeats: whether a network may be evaluated again.
    """

    def __init__(self, repeats: bool = False) -> None:
        self.history: list[Evaluation] = []
        self.refused: Counter[Refusal] = Counter()
        self.repeats = repeats
        self._evaluated: dict[Architecture, Evaluation] = {}

    @property
    def last(self) -> Evaluation:
        """The evaluation of the network that was proposed last."""
        return self.history[-1]

    def add(self, evaluation: Evaluation) -> None:
        """Keep an evaluation."""
        self.history.append(evaluation)
        self._evaluated[evaluation.architecture] = evaluation

    def is_open(self, architecture: Architecture) -> bool:
        """Whether a network may be evaluated: it was not yet, or repeats were asked for."""
        return self.repeats or architecture not in self._evaluated

    def evaluation_of(self, architecture: Architecture) -> Evaluation:
        """The last evaluation of a network that was evaluated."""
        return self._evaluated[architecture]

    def refuse(self, reason: Refusal, count: int = 1) -> None:
        """Count networks that are not evaluated."""
        if count:
            self.refused[reason] += count

    def only_open(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        """Those that may be evaluated; the others are counted as refused."""
        kept = [architecture for architecture in architectures if self.is_open(architecture)]
        self.refuse("already evaluated", len(architectures) - len(kept))
        return kept


def strangers(
    admissible: Admissible, ledger: Ledger, generator: np.random.Generator
) -> Iterator[Architecture]:
    """Networks that may be evaluated, each as likely as any other of them.

    They end where all are evaluated; where repeats were asked for, a new round begins then.
    """
    while True:
        yield from filter(ledger.is_open, admissible.shuffled(generator))
        if not ledger.repeats:
            return


def mutation(
    admissible: Admissible,
    ledger: Ledger,
    architecture: Architecture,
    generator: np.random.Generator,
) -> Architecture | None:
    """A neighbour of a network that may be evaluated; nothing where none is left.

    First one of the groups that have any is drawn, then one of the group, so that a block with many
    candidates is not redrawn more often than others.
    """
    neighbours = admissible.neighbours(architecture)
    ledger.refuse("over budget", neighbours.over_budget)
    groups = [kept for group in neighbours.within if (kept := ledger.only_open(group))]
    if not groups:
        return None
    group = groups[generator.integers(len(groups))]
    return group[generator.integers(len(group))]


class Strategy(ABC):
    """A way to choose which networks to evaluate.

    Contract: a value; :meth:`propose` gives admissible architectures in their canonical form, each
    one open in the ledger at the time; nothing but the generator and the ledger decides which.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """As it is printed: ``random``."""

    @abstractmethod
    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Networks to evaluate; ends where none is left.

        Each is evaluated before the next one is asked for, and is then ``ledger.last``.

        Args:
            admissible: what may be proposed.
            ledger: what was evaluated so far.
            generator: of everything random.
        """

    def search(
        self,
        admissible: Admissible,
        evaluate: Evaluate,
        evaluations: int,
        seed: int = 0,
        *,
        history: Sequence[Evaluation] = (),
        on_evaluation: Callable[[Evaluation], None] | None = None,
        max_seconds: float | None = None,
        repeats: bool = False,
    ) -> StrategyResult:
        """Evaluate networks within a budget, and keep all that was seen.

        Args:
            admissible: the networks, all within the budget.
            evaluate: gives the value of a network, larger is better. A :class:`DivergedError`, or
                a value that is not finite, is kept as a failure, and is never the best.
            evaluations: how many networks to evaluate, those of the history and failures included.
            seed: of everything random. The number of evaluations changes none of the first ones.
            history: evaluations of an earlier search with the same seed and networks, that goes on
                where it ended; none of them is made again.
            on_evaluation: called after each new evaluation; rows to go on from are kept here.
            max_seconds: no evaluation begins once all of them, the history's too, took this long.
            repeats: whether a network may be evaluated again.

        Raises:
            InputError: a history of another search, less than one evaluation, a seed below 0.
        """
        if evaluations < 1:
            raise InputError(f"{evaluations} evaluations", "must be at least 1")
        if seed < 0:
            raise InputError(f"seed {seed}", "must be 0 or more")
        if max_seconds is not None and not max_seconds > 0:
            raise InputError(f"{max_seconds} seconds for a search", "must be above zero")
        ledger = Ledger(repeats)
        proposals = self.propose(admissible, ledger, np.random.default_rng(seed))
        stop: Stop = "nothing left"
        seconds = 0.0
        for order, architecture in enumerate(proposals):
            latency_ms = self._checked_ms(admissible, ledger, architecture)
            if order < len(history):
                evaluation = _replayed(history[order], order, architecture, self.name)
            else:
                evaluation = _evaluated(evaluate, order, architecture, latency_ms)
            ledger.add(evaluation)
            if order >= len(history) and on_evaluation is not None:
                on_evaluation(evaluation)
            seconds += evaluation.seconds
            if order + 1 >= evaluations:
                stop = "evaluations"
                break
            if max_seconds is not None and seconds >= max_seconds and order + 1 >= len(history):
                stop = "seconds"
                break
        if len(ledger.history) < min(len(history), evaluations):
            raise _another(self.name, f"it has {len(history)} networks, more than there are")
        return StrategyResult(
            self.name,
            tuple(ledger.history),
            dict(ledger.refused),
            stop,
            admissible.budget_ms,
            seed,
        )

    def _checked_ms(
        self, admissible: Admissible, ledger: Ledger, architecture: Architecture
    ) -> float:
        latency_ms = admissible.latency_ms(architecture)
        if latency_ms > admissible.budget_ms:
            raise InputError(f"{self.name} proposed {architecture}", "it is over the budget")
        if architecture != admissible.canonical(architecture) or not ledger.is_open(architecture):
            raise InputError(f"{self.name} proposed {architecture}", "it is evaluated already")
        return latency_ms


def _evaluated(
    evaluate: Evaluate, order: int, architecture: Architecture, latency_ms: float
) -> Evaluation:
    start = time.monotonic()
    value: float | None = None
    failure = ""
    try:
        value = float(evaluate(architecture))
    except DivergedError as error:
        failure = str(error)
    if value is not None and not math.isfinite(value):
        value, failure = None, f"the value is {value}"
    return Evaluation(order, architecture, value, latency_ms, time.monotonic() - start, failure)


def _replayed(kept: Evaluation, order: int, architecture: Architecture, name: str) -> Evaluation:
    if (kept.order, kept.architecture) != (order, architecture):
        raise _another(
            name,
            f"evaluation {order} was number {kept.order}, {kept.architecture}, is {architecture}",
        )
    return kept


def _another(name: str, why: str) -> InputError:
    return InputError(
        f"the history is not one of {name} with this seed and these networks", why, "no history"
    )
