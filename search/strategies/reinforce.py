"""REINFORCE: probabilities of the choices, raised where the networks drawn from them do well.

Williams: "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
Learning", Machine Learning, 1992, with a controller of independent categorical distributions, as in
Dong and Yang: "NAS-Bench-201", ICLR 2020. After a network of value ``v`` the logits of each choice
move by ``rate * (v - baseline) / spread * (taken - p)``, where baseline and spread are the moving
mean and standard deviation of the values: the scale of the values does not matter.

Samples over the budget, or of networks that were evaluated, are drawn again, and teach nothing.
Where too many are refused in a row, a uniform draw from the admissible set takes the sample's
place, and teaches like one; so a controller whose samples are all too slow is led to faster ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from devices.errors import InputError
from search.architecture import Architecture
from search.pricing import FloatArray
from search.strategies.admissible import Admissible
from search.strategies.base import Ledger, Strategy, strangers
from search.train_config import require_positive


@dataclass(frozen=True)
class Reinforce(Strategy):
    """A controller without memory of its earlier choices in a network.

    Attributes:
        rate: step of the logits.
        momentum: share of the moving mean and spread that a new value leaves, 0 to below 1.
        patience: samples refused in a row before a uniform draw takes their place.

    Raises:
        InputError: a rate or patience not above zero, a momentum out of its range.
    """

    rate: float = 0.3
    momentum: float = 0.9
    patience: int = 200

    def __post_init__(self) -> None:
        require_positive(rate=self.rate, patience=self.patience)
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum={self.momentum}", "must be 0 to below 1")

    @property
    def name(self) -> str:
        """``reinforce``."""
        return "reinforce"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Samples of the controller that are within the budget and new."""
        drawing, choosing = generator.spawn(2)
        fresh = strangers(admissible, ledger, drawing)
        logits = [np.zeros(width) for width in admissible.widths]
        baseline, variance, worst = math.nan, 0.0, math.inf
        while True:
            sample = self._sample(admissible, ledger, logits, choosing)
            if sample is None:
                stranger = next(fresh, None)
                if stranger is None:
                    return
                sample = stranger.choices, stranger
            choices, architecture = sample
            yield architecture
            value = ledger.last.value
            # A failure is worth no more than the worst that did not fail.
            worst = worst if value is None else min(worst, value)
            reward = worst if value is None else value
            if not math.isfinite(reward):
                continue
            if math.isnan(baseline):
                baseline = reward
            # Before the baseline moves: what the sample says is measured against those before it.
            advantage = reward - baseline
            variance = self.momentum * variance + (1 - self.momentum) * advantage**2
            baseline += (1 - self.momentum) * advantage
            if variance > 0:
                step = self.rate * advantage / math.sqrt(variance)
                for block, choice in zip(logits, choices, strict=True):
                    block -= step * _softmax(block)
                    block[choice] += step

    def _sample(
        self,
        admissible: Admissible,
        ledger: Ledger,
        logits: list[FloatArray],
        generator: np.random.Generator,
    ) -> tuple[tuple[int, ...], Architecture] | None:
        """A sample that may be evaluated, with the choices that were drawn; or none in time."""
        running = [np.cumsum(_softmax(block)) for block in logits]
        for _ in range(self.patience):
            choices = tuple(
                min(int(np.searchsorted(row, generator.random(), side="right")), len(row) - 1)
                for row in running
            )
            architecture = admissible.architecture(choices)
            if architecture is None:
                ledger.refuse("not in the space")
                continue
            architecture = admissible.canonical(architecture)
            if admissible.latency_ms(architecture) > admissible.budget_ms:
                ledger.refuse("over budget")
            elif not ledger.is_open(architecture):
                ledger.refuse("already evaluated")
            else:
                return choices, architecture
        return None


def _softmax(logits: FloatArray) -> FloatArray:
    weights: FloatArray = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights
