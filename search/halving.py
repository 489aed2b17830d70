"""Successive halving: all finalists train for a while, and the worse half trains no longer.

Jamieson and Talwalkar: "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
AISTATS 2016. The learning rate follows the schedule of the whole training, so that those that stay
are trained as they would have been without it, bit for bit; only what is dropped is saved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from devices.errors import InputError

T = TypeVar("T")


def check_rungs(rungs: Sequence[int], epochs: int) -> tuple[int, ...]:
    """Return the epochs after which the worse half is dropped, or say what is wrong with them.

    Args:
        rungs: rising, from 1.
        epochs: of the whole training.

    Raises:
        InputError: they do not rise, or reach beyond the training.
    """
    written = ",".join(map(str, rungs))
    if list(rungs) != sorted(set(rungs)) or any(rung < 1 for rung in rungs):
        raise InputError(f"halving after epochs {written}", "they must rise, from 1 on", "1,3")
    if rungs and rungs[-1] >= epochs:
        raise InputError(
            f"halving after epoch {rungs[-1]}",
            f"a training has {epochs} epochs",
            f"epochs below {epochs}, or more --train-epochs",
        )
    return tuple(rungs)


def planned_epochs(finalists: int, rungs: Sequence[int], epochs: int) -> int:
    """Epochs of all finalists together, where none diverges."""
    total, before, left = 0, 0, finalists
    for rung in (*rungs, epochs):
        total += left * (rung - before)
        before, left = rung, kept_of(left)
    return total


def kept_of(count: int) -> int:
    """How many of so many are kept: half of them, rounded up."""
    return math.ceil(count / 2)


def better_half(accuracies: Mapping[T, float], latencies_ms: Mapping[T, float]) -> set[T]:
    """Those of higher accuracy; of equals the faster ones.

    Args:
        accuracies: of all that did not diverge.
        latencies_ms: of the same.
    """
    ordered = sorted(accuracies, key=lambda one: (-accuracies[one], latencies_ms[one]))
    return set(ordered[: kept_of(len(ordered))])
