"""What a search by scores and training found, from the space down to the winner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from devices.errors import BudgetError, DivergedError
from search.architecture import Architecture
from search.budget import format_ms

Status = Literal["trained", "over budget", "dropped", "diverged"]


@dataclass(frozen=True)
class Candidate:
    """A network of the pool.

    Attributes:
        architecture: which one.
        predicted_ms: by the latency model.
        score: larger is better; ``None`` where nothing was scored or scoring failed.
        failure: why scoring failed; empty where it did not.
        values: what each proxy said, by its name.
    """

    architecture: Architecture
    predicted_ms: float
    score: float | None
    failure: str = ""
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Finalist:
    """A network that was measured, trained, or both.

    Attributes:
        architecture: which one.
        predicted_ms: by the latency model.
        score: that it was taken for.
        status: ``trained``, ``over budget`` when it was measured, ``dropped`` half way by
            successive halving, or ``diverged`` in training.
        measured_ms: median on the device; ``None`` where no device was asked.
        upper_ms: upper end of that median's confidence interval.
        validation_accuracy: after training, or when it was dropped.
        test_accuracy: after training; nothing was chosen by it.
        train_loss: of each epoch.
        failure: why training failed.
        epochs: that it was trained for.
    """

    architecture: Architecture
    predicted_ms: float
    score: float | None
    status: Status
    measured_ms: float | None = None
    upper_ms: float | None = None
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    train_loss: tuple[float, ...] = ()
    failure: str = ""
    epochs: int = 0


@dataclass(frozen=True)
class Funnel:
    """How many networks each step left, and why the others went.

    Attributes:
        space_size: architectures of the space.
        admissible: different networks predicted to be within the budget, at least.
        pool: drawn from those.
        scored: with a score; of ``random`` all that were drawn.
        measured: on the device, before training.
        trained: to the end.
        failed: how many could not be scored, by reason.
        too_slow: over the budget when they were measured.
        dropped: half way, by successive halving.
        diverged: in training.
        is_counted: whether ``admissible`` is exact.
    """

    space_size: int
    admissible: int
    pool: int
    scored: int
    measured: int
    trained: int
    failed: Mapping[str, int] = field(default_factory=dict)
    too_slow: int = 0
    dropped: int = 0
    diverged: int = 0
    is_counted: bool = True

    def steps(self) -> list[tuple[str, int, str]]:
        """What each step is, how many it left, and what became of the others."""
        gone = self.space_size - self.admissible
        drawn = "" if self.pool == self.admissible else f"{self.admissible - self.pool:,} not drawn"
        failed = [f"{count:,} failed: {why}" for why, count in self.failed.items()]
        taken = self.trained + self.dropped + self.diverged
        steps = [
            ("architectures of the space", self.space_size, ""),
            (
                "different networks within the budget" + ("" if self.is_counted else ", at least"),
                self.admissible,
                f"{gone:,} over the budget, or the same network" if gone else "",
            ),
            ("in the pool", self.pool, drawn),
            ("scored", self.scored, "; ".join(failed)),
            ("best by score", taken + self.too_slow, ""),
        ]
        if self.measured:
            slow = f"{self.too_slow:,} over the budget when measured" if self.too_slow else ""
            steps.append(("measured within the budget", taken, slow))
        lost = [
            f"{count:,} {how}"
            for count, how in (
                (self.dropped, "dropped half way"),
                (self.diverged, "diverged"),
            )
            if count
        ]
        return [*steps, ("trained to the end", self.trained, "; ".join(lost))]


@dataclass(frozen=True)
class KnasResult:
    """What a search found.

    Attributes:
        ranking: the trained finalists, highest validation accuracy first, of equals the fastest.
        weights: of each trained finalist its parameters and buffers, as ``state_dict`` gives them.
        finalists: all that were measured or trained, in the order they were taken.
        candidates: the whole pool, best score first, failures last.
        funnel: how many networks each step left.
        budget_ms: the budget searched under.
        seed: of everything random but the training.
    """

    ranking: tuple[Finalist, ...]
    weights: Mapping[Architecture, Mapping[str, Tensor]] = field(repr=False, compare=False)
    finalists: tuple[Finalist, ...]
    candidates: tuple[Candidate, ...] = field(repr=False)
    funnel: Funnel
    budget_ms: float
    seed: int

    @property
    def winner(self) -> Finalist:
        """The finalist of highest validation accuracy."""
        return self.ranking[0]


def rank_finalists(finalists: Sequence[Finalist], budget_ms: float) -> tuple[Finalist, ...]:
    """The trained finalists, highest validation accuracy first, of equals the fastest.

    Raises:
        DivergedError: none was trained to the end.
        BudgetError: none was within the budget when measured.
    """
    trained = [finalist for finalist in finalists if finalist.status == "trained"]
    if trained:
        trained.sort(key=lambda f: (-(f.validation_accuracy or 0.0), f.predicted_ms))
        return tuple(trained)
    diverged = [finalist for finalist in finalists if finalist.status == "diverged"]
    if diverged:
        raise DivergedError(
            f"all {len(diverged)} finalists diverged in training",
            diverged[0].failure,
            "a lower learning rate",
        )
    closest = min(finalists, key=lambda finalist: finalist.upper_ms or math.inf)
    upper_ms = closest.upper_ms or math.inf
    raise BudgetError(
        f"none of {len(finalists)} networks was within {format_ms(budget_ms)} when measured",
        f"the closest, {closest.architecture}, took up to {format_ms(upper_ms)}",
        f"a budget of at least {format_ms(upper_ms)}, or lutier profile again",
    )
