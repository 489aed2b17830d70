"""Accuracy over measured latency: who is compared with whom, and what is on the front."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made
import pytest

from lutier.plots.front import fronts
from lutier.plots.runs import find_runs


def test_results_and_finalists_are_points_and_the_front_is_marked(tmp_path: Path) -> None:
    (front,) = fronts(made.two_runs(tmp_path))
    assert [(p.run, p.role, p.architecture, p.on_front) for p in front.points] == [
        ("first", "result", made.FOUND.id, True),
        ("first", "finalist", made.OTHER.id, True),
        ("second", "result", made.OTHER.id, True),
    ]
    assert [p.measured_ms for p in front.front] == [0.71, 0.95, 1.2]
    assert front.budgets_ms == (1.0,)
    assert [p.is_within_budget for p in front.points] == [True, True, False]


def test_a_beaten_network_is_not_on_the_front(tmp_path: Path) -> None:
    made.write_result(tmp_path / "a")
    made.write_result(tmp_path / "b", measured_ms=0.955, accuracy=0.9)
    (front,) = fronts(find_runs([tmp_path]))
    assert [point.on_front for point in front.points] == [True, False]


def test_only_a_result_has_an_interval(tmp_path: Path) -> None:
    (front,) = fronts(made.two_runs(tmp_path))
    assert (front.points[0].low_ms, front.points[0].high_ms) == (0.94, 0.96)
    assert (front.points[1].low_ms, front.points[1].high_ms) == (None, None)


def test_other_targets_and_other_data_are_apart(tmp_path: Path) -> None:
    made.write_result(tmp_path / "a")
    made.write_result(tmp_path / "b", data="cifar10:x")
    made.write_result(tmp_path / "c", target="cpu/torch?threads=1")
    groups = [(front.target, front.data) for front in fronts(find_runs([tmp_path]))]
    assert len(groups) == len(set(groups)) == 3


def test_a_further_budget_is_a_point_on_its_own_target(tmp_path: Path) -> None:
    also = {"target": "cpu/torch?threads=1", "budget_ms": 2.0, "predicted_ms": 1.9}
    made.write_result(tmp_path / "a", details={"also": [{**also, "measured_ms": 2.1}]})
    here, there = fronts(find_runs([tmp_path]))
    assert here.points[0].measured_ms == 0.95
    assert (there.target, there.points[0].measured_ms) == ("cpu/torch?threads=1", 2.1)
    assert not there.points[0].is_within_budget
    assert there.points[0].low_ms is None


def test_equal_accuracies_are_drawn_as_equal(tmp_path: Path) -> None:
    made.write_result(tmp_path / "a", accuracy=1.0)
    (front,) = fronts(find_runs([tmp_path]))
    low, high = front.accuracy_range
    assert low < 0.985
    assert 1.0 < high < 1.01


def test_the_figure_shows_points_budgets_and_intervals(tmp_path: Path) -> None:
    (front,) = fronts(made.two_runs(tmp_path))
    (axes,) = front.figure().axes
    offsets = [tuple(xy) for drawn in axes.collections for xy in drawn.get_offsets()]
    assert (0.95, pytest.approx(92.0)) in offsets
    assert any(list(line.get_xdata()) == [1.0, 1.0] for line in axes.lines)
    assert "budget 1.00 ms" in [text.get_text() for text in axes.texts]
