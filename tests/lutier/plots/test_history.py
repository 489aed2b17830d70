"""How a search went, by what its method keeps."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made
import pytest

from lutier.plots.history import histories
from lutier.plots.runs import find_runs


def test_each_method_shows_what_it_keeps(tmp_path: Path) -> None:
    knas, proxyless = histories(made.two_runs(tmp_path))
    assert knas.funnel is not None
    assert knas.funnel.pool == 50
    assert not knas.epochs
    assert set(knas.training_losses) == {made.FOUND.id, made.OTHER.id}
    assert [each.epoch for each in proxyless.epochs] == [1, 2, 3]
    assert proxyless.training_losses == {"the network found": (2.0, 1.5, 1.2)}
    assert proxyless.rounds[0].architecture == made.TRIED.id


def test_preferences_name_the_candidates_and_what_was_taken(tmp_path: Path) -> None:
    _, proxyless = histories(made.two_runs(tmp_path))
    first = proxyless.preferences[0]
    assert first.labels[:2] == ("MB3 3x3", "MB6 3x3")
    assert first.labels[first.chosen] == "MB6 3x3"
    assert first.probability("MB6 3x3") == pytest.approx(1 / len(first.labels))
    assert first.probability("nothing") is None
    assert "skip" in proxyless.candidate_labels


def test_probabilities_of_another_space_are_not_shown(tmp_path: Path) -> None:
    folder = made.write_result(tmp_path, details={"probabilities": [[0.5, 0.5]]})
    (history,) = histories(find_runs([folder]))
    assert history.preferences == ()
    assert history.is_empty


def test_evaluations_of_a_strategy_are_drawn_with_the_best_so_far(tmp_path: Path) -> None:
    folder = made.write_result(tmp_path, method="evolution", details=made.strategy_details())
    (history,) = histories(find_runs([folder]))
    assert not history.is_empty
    assert [value for _, value in history.evaluated] == [0.6, 0.5]
    axes = history.figure().axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[1, 60], [3, 50]]
    assert list(axes.lines[0].get_ydata()) == [60, 60]


def test_the_figures_show_the_course(tmp_path: Path) -> None:
    knas, proxyless = histories(made.two_runs(tmp_path))
    losses, latency, entropy = proxyless.figure().axes
    assert list(losses.lines[0].get_ydata()) == [2.0, 1.5, 1.0]
    assert list(losses.lines[1].get_xdata()) == [2, 3]
    assert list(latency.lines[1].get_ydata()) == [1.0, 1.0]
    assert list(entropy.lines[0].get_ydata()) == [1.8, 1.2, 0.6]
    (training,) = knas.figure().axes
    assert len(training.lines) == 2
