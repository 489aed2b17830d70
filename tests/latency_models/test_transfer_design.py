"""Which rows are worth measuring."""

from __future__ import annotations

import numpy as np

from latency_models.transfer_design import most_informative


def unknown(columns: np.ndarray, rows: list[int], noise_variance: float) -> float:
    """Mean posterior variance of all rows, from the definition."""
    measured = columns[rows]
    precision = np.eye(columns.shape[1]) + measured.T @ measured / noise_variance
    return float(np.mean(np.sum(columns @ np.linalg.inv(precision) * columns, axis=1)))


def test_each_row_leaves_least_unknown() -> None:
    columns = np.random.default_rng(0).standard_normal((30, 4))
    chosen = most_informative(columns, 0.1, np.arange(30), 5)
    for i in range(5):
        values = {
            row: unknown(columns, [*chosen[:i], row], 0.1)
            for row in range(30)
            if row not in chosen[:i]
        }
        assert min(values, key=lambda row: values[row]) == chosen[i]


def test_only_candidates_are_chosen_and_each_once() -> None:
    columns = np.ones((10, 2))
    assert sorted(most_informative(columns, 0.1, np.array([2, 3, 5]), 9)) == [2, 3, 5]
