"""The page's figures say in words what they draw, and take no text for HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drawn_results as made
import pytest

from lutier.plots.blocks import break_down
from lutier.plots.front import fronts
from lutier.plots.history import histories
from lutier.plots.predictions import predictions
from lutier.plots.runs import find_runs
from lutier.report.figures import block_plot, front_plot, prediction_plots
from lutier.report.history_figures import history_plots
from lutier.report.plot import label, lines


def nowhere(target: str, architecture: str) -> str | None:
    return None


def network(target: str, architecture: str) -> str | None:
    return f"to-{architecture}"


def traces(figure: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [trace for trace in figure["data"] if trace.get("name") == name]
    return dict(found)


def test_the_front_has_intervals_budgets_and_ways_to_the_networks(tmp_path: Path) -> None:
    plot = front_plot(fronts(made.two_runs(tmp_path))[0], 1, network)
    first = traces(plot.figure, "first")
    assert (list(first["x"]), list(first["y"])) == ([0.95], [92.0])
    assert first["error_x"]["array"][0] == pytest.approx(0.01)
    assert list(first["customdata"]) == [f"to-{made.FOUND.id}"]
    assert made.FOUND.id in first["text"][0]
    assert "click" in first["text"][0]
    (budget,) = plot.figure["layout"]["shapes"]
    assert (budget["x0"], budget["x1"]) == (1.0, 1.0)
    assert f"{made.FOUND.id} (first): 92.0 % at 0.950 ms" in plot.summary


def test_a_point_without_a_network_in_the_page_offers_no_click(tmp_path: Path) -> None:
    plot = front_plot(fronts(made.two_runs(tmp_path))[0], 1, nowhere)
    first = traces(plot.figure, "first")
    assert list(first["customdata"]) == [None]
    assert "click" not in first["text"][0]


def test_no_network_within_its_budget_is_said(tmp_path: Path) -> None:
    made.write_result(tmp_path, measured_ms=2.0, measured_interval_ms=[1.9, 2.1])
    plot = front_plot(fronts(find_runs([tmp_path]))[0], 1, nowhere)
    assert "None is within its budget" in plot.summary
    assert "over the budget" in traces(plot.figure, tmp_path.name)["text"][0]


def test_predictions_have_the_band_of_the_noise_floor(tmp_path: Path) -> None:
    evidence = {made.TARGET: made.made_evidence()}
    (given,) = predictions(made.two_runs(tmp_path), evidence)
    agreement, errors = prediction_plots(given, 1, network)
    band = errors.figure["layout"]["shapes"][0]
    assert (band["y0"], band["y1"]) == (-0.5, 0.5)
    assert "noise floor, 0.5 %" in errors.summary
    assert "On 3 networks that took part in no fit" in agreement.summary
    assert len(agreement.csv.text.splitlines()) == 1 + len(given.points)


def test_an_unknown_noise_floor_is_no_band(tmp_path: Path) -> None:
    (given,) = predictions(find_runs([made.write_result(tmp_path)]), {})
    agreement, errors = prediction_plots(given, 1, nowhere)
    assert all(shape["type"] == "line" for shape in errors.figure["layout"]["shapes"])
    assert "not known" in errors.summary
    assert "searches measured" in agreement.summary


def test_blocks_are_bars_and_the_slowest_is_named() -> None:
    found = break_down(made.SPACE, made.FOUND, made.made_evidence())
    plot = block_plot(found, "plot-x")
    (bars,) = plot.figure["data"]
    assert list(bars["y"]) == [block.latency_ms for block in found.blocks]
    slowest = max(found.blocks, key=lambda block: block.latency_ms or 0)
    assert f"{slowest.name} ({slowest.label})" in plot.summary
    assert plot.csv.name == f"{made.FOUND.id.replace(':', '-')}-blocks.csv"


def test_the_course_of_each_method_is_drawn(tmp_path: Path) -> None:
    knas, proxyless = histories(made.two_runs(tmp_path))
    assert [plot.title for plot in history_plots(knas, 1)] == ["Training from scratch"]
    losses, expected, entropy, training = history_plots(proxyless, 2)
    assert list(traces(losses.figure, "choices")["x"]) == [2, 3]
    assert expected.figure["layout"]["shapes"][-1]["y0"] == 1.0
    assert "from 1.50 ms to 0.900 ms; the budget is 1.00 ms" in expected.summary
    assert "1.800 to 0.600 nats" in entropy.summary
    assert "the network found at 1.200" in training.summary


def test_evaluations_are_drawn_in_order_and_over_latency(tmp_path: Path) -> None:
    folder = made.write_result(tmp_path, method="evolution", details=made.strategy_details())
    (history,) = histories(find_runs([folder]))
    in_order, over_latency = history_plots(history, 1)
    assert list(traces(in_order.figure, "evaluations")["x"]) == [1, 3]
    assert list(traces(in_order.figure, "best so far")["y"]) == [60, 60]
    assert list(traces(over_latency.figure, "evaluations")["x"]) == [0.8, 1.0]
    assert "1 more failed" in in_order.summary
    assert "The best, 60.0 %, was evaluation 1." in in_order.summary
    assert "diverged" in in_order.csv.text


def test_text_is_never_markup() -> None:
    assert label("<a href='javascript:x'>&") == "&lt;a href='javascript:x'&gt;&amp;"
    assert lines("<b>", "", "%{x}") == "<b>&lt;b&gt;</b><br>%{x}"


def test_names_of_runs_are_escaped_in_every_figure(tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    made.write_result(folder, details=made.proxyless_details())
    runs = find_runs([folder])
    plots = [
        front_plot(fronts(runs)[0], 1, nowhere),
        *prediction_plots(predictions(runs, {})[0], 1, nowhere),
        *history_plots(histories(runs)[0], 1),
    ]
    assert "<img" not in str([plot.figure for plot in plots])
