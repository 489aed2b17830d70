"""Which rows of a linear model are worth measuring.

Internal to :mod:`latency_models.transfer`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latency_models.base import FloatArray


def most_informative(
    columns: FloatArray, noise_variance: float, candidates: npt.NDArray[np.int64], n: int
) -> list[int]:
    """Rows to measure, one after the other, so that least is left unknown of all rows.

    Each is the one that lowers the mean posterior variance of all rows most: a Bayesian design for
    prediction (V- or I-optimality; Chaloner and Verdinelli, Statistical Science 1995), made
    greedily. No measurement is needed for it, as the posterior variance of a linear model does not
    depend on what is measured.

    Args:
        columns: of all rows, scaled so that weights have a prior variance of 1, shape
            ``(rows, weights)``.
        noise_variance: of one measurement.
        candidates: rows that can be measured.
        n: how many; at most as many as there are candidates.

    Returns:
        Row numbers, the most informative first.
    """
    moment = columns.T @ columns / len(columns)
    covariance = np.eye(columns.shape[1])
    reachable = columns[candidates]
    left = np.ones(len(candidates), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(n, len(candidates))):
        spread = reachable @ covariance
        gain = np.sum((spread @ moment) * spread, axis=1)
        gain /= noise_variance + np.sum(spread * reachable, axis=1)
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        left[best] = False
        chosen.append(int(candidates[best]))
        row = covariance @ reachable[best]
        covariance = covariance - np.outer(row, row) / (noise_variance + reachable[best] @ row)
    return chosen
