"""Predicted against measured: groups, errors and the noise floor."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made
import pytest

from lutier.plots.predictions import predictions
from lutier.plots.runs import find_runs


def test_points_come_from_the_model_and_from_the_searches(tmp_path: Path) -> None:
    runs = made.two_runs(tmp_path)
    (found,) = predictions(runs, {made.TARGET: made.made_evidence()})
    assert {name: len(found.group(name)) for name in ("held out", "calibrated on")} == {
        "held out": 3,
        "calibrated on": 3,
    }
    assert [p.architecture for p in found.group("candidate")] == [
        made.FOUND.id,
        made.OTHER.id,
        made.TRIED.id,
    ]
    assert [p.run for p in found.group("result")] == ["first", "second"]
    assert found.evaluation is not None
    assert found.group("result")[0].error == pytest.approx(0.9 / 0.95 - 1)


def test_the_noise_floor_is_that_of_the_search_and_else_of_the_model(tmp_path: Path) -> None:
    evidence = {made.TARGET: made.made_evidence()}
    (found,) = predictions(made.two_runs(tmp_path / "a"), evidence)
    assert found.noise_floor == 0.005
    bare = find_runs([made.write_result(tmp_path / "b")])
    assert predictions(bare, evidence)[0].noise_floor == 0.004
    assert predictions(bare, {})[0].noise_floor is None


def test_without_a_model_there_are_only_the_networks_of_the_searches(tmp_path: Path) -> None:
    (found,) = predictions(find_runs([made.write_result(tmp_path)]), {})
    assert [point.group for point in found.points] == ["result"]
    assert found.evaluation is None


def test_the_figure_has_the_errors_in_per_cent_and_the_band(tmp_path: Path) -> None:
    runs = made.two_runs(tmp_path)
    (found,) = predictions(runs, {made.TARGET: made.made_evidence()})
    _, errors = found.figure().axes
    drawn = [xy[1] for points in errors.collections for xy in points.get_offsets()]
    assert 100 * (0.9 / 0.95 - 1) in [pytest.approx(value) for value in drawn]
    band = errors.patches[0].get_extents()
    low, high = errors.transData.inverted().transform(band.get_points())[:, 1]
    assert (low, high) == (pytest.approx(-0.5), pytest.approx(0.5))
