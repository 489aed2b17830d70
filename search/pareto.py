"""The best trade-offs of accuracy and latency, and how good they are as one number.

A network dominates another where it is at least as accurate and at least as fast, and one of the
two strictly; the front is what nothing dominates (Deb et al.: "A Fast and Elitist Multiobjective
Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation, 2002). The hypervolume
is the area that a front dominates up to a reference (Zitzler and Thiele: "Multiobjective
Evolutionary Algorithms", IEEE Transactions on Evolutionary Computation, 1999).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from search.pricing import FloatArray

IndexArray = npt.NDArray[np.int64]


def pareto_front(accuracies: npt.ArrayLike, latencies_ms: npt.ArrayLike) -> IndexArray:
    """Which points no other point dominates, from the fastest to the most accurate.

    Of equal points the first is kept.

    Args:
        accuracies: larger is better, shape ``(n,)``.
        latencies_ms: smaller is better, shape ``(n,)``.

    Returns:
        Indices into the points, shape ``(front,)``; both figures rise along it.

    Raises:
        InputError: not as many finite accuracies as latencies.
    """
    accuracy, latency_ms = _checked(accuracies, latencies_ms)
    order = np.lexsort((-accuracy, latency_ms))
    if not len(order):
        return order.astype(np.int64)
    record = np.maximum.accumulate(accuracy[order])
    rises = np.append(True, accuracy[order][1:] > record[:-1])
    front: IndexArray = order[rises].astype(np.int64)
    return front


def hypervolume(
    accuracies: npt.ArrayLike,
    latencies_ms: npt.ArrayLike,
    worst_accuracy: float,
    worst_ms: float,
) -> float:
    """Area between the front of some points and a point that is worse, exactly.

    Points that do not dominate the reference add nothing.

    Args:
        accuracies: larger is better, shape ``(n,)``.
        latencies_ms: smaller is better, shape ``(n,)``.
        worst_accuracy: of the reference.
        worst_ms: of the reference, in ms.

    Returns:
        In units of accuracy times ms.

    Raises:
        InputError: not as many finite accuracies as latencies, or a reference that is not finite.
    """
    if not np.isfinite([worst_accuracy, worst_ms]).all():
        raise InputError(f"a reference of {worst_accuracy} at {worst_ms} ms", "must be finite")
    accuracy, latency_ms = _checked(accuracies, latencies_ms)
    inside = (accuracy > worst_accuracy) & (latency_ms < worst_ms)
    accuracy, latency_ms = accuracy[inside], latency_ms[inside]
    front = pareto_front(accuracy, latency_ms)
    gains = np.diff(accuracy[front], prepend=worst_accuracy)
    return float((gains * (worst_ms - latency_ms[front])).sum())


def _checked(
    accuracies: npt.ArrayLike, latencies_ms: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    accuracy = np.asarray(accuracies, dtype=np.float64)
    latency_ms = np.asarray(latencies_ms, dtype=np.float64)
    if accuracy.ndim != 1 or accuracy.shape != latency_ms.shape:
        raise InputError(
            f"accuracies of shape {accuracy.shape} and latencies of {latency_ms.shape}",
            "there must be one of each for every point",
        )
    if not (np.isfinite(accuracy).all() and np.isfinite(latency_ms).all()):
        raise InputError(
            "accuracies or latencies that are not finite", hint="leave failed networks out"
        )
    return accuracy, latency_ms
