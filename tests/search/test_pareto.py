from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from search.pareto import hypervolume, pareto_front

# Few values, so that ties are common.
points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20)


def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b


@given(points)
def test_the_front_is_what_nothing_dominates(given_points: list[tuple[int, int]]) -> None:
    accuracies, latencies = [p[0] for p in given_points], [p[1] for p in given_points]
    front = pareto_front(accuracies, latencies).tolist()
    kept = [given_points[i] for i in front]
    expected = {p for p in given_points if not any(dominates(q, p) for q in given_points)}
    assert set(kept) == expected
    assert len(kept) == len(expected)
    assert [given_points.index(p) for p in kept] == front
    assert kept == sorted(kept)
    assert [p[1] for p in kept] == sorted(p[1] for p in kept)


@given(points)
def test_the_hypervolume_is_the_number_of_unit_cells_dominated(
    given_points: list[tuple[int, int]],
) -> None:
    # The cell (a, t) spans accuracies a to a + 1 and latencies t to t + 1, up to (1, 5).
    cells = {
        (a, t)
        for accuracy, latency in given_points
        for a in range(1, accuracy)
        for t in range(latency, 5)
    }
    accuracies, latencies = [p[0] for p in given_points], [p[1] for p in given_points]
    assert hypervolume(accuracies, latencies, 1, 5) == len(cells)


def test_a_front_of_a_known_shape() -> None:
    accuracies = np.array([0.7, 0.9, 0.8, 0.6, 0.9])
    latencies_ms = np.array([1.0, 3.0, 2.0, 2.5, 4.0])
    assert pareto_front(accuracies, latencies_ms).tolist() == [0, 2, 1]
    # 0.2 for 3 ms, 0.1 for 2 ms, 0.1 for 1 ms.
    assert hypervolume(accuracies, latencies_ms, 0.5, 4.0) == pytest.approx(0.9)


def test_no_points_have_no_front_and_no_volume() -> None:
    assert pareto_front([], []).tolist() == []
    assert hypervolume([], [], 0.0, 1.0) == 0.0
    assert hypervolume([0.5], [2.0], 0.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("accuracies", "latencies"),
    [([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]]), ([math.nan], [1.0]), ([1.0], [math.inf])],
)
def test_points_that_are_none_are_refused(accuracies: list[float], latencies: list[float]) -> None:
    with pytest.raises(InputError, match="accuracies"):
        pareto_front(accuracies, latencies)
    with pytest.raises(InputError, match="accuracies"):
        hypervolume(accuracies, latencies, 0, 1)


def test_a_reference_that_is_no_point_is_refused() -> None:
    with pytest.raises(InputError, match="a reference of nan"):
        hypervolume([1.0], [1.0], math.nan, 1.0)
