"""The page's figures of how searches went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from lutier.plots.details import Epoch
from lutier.plots.front import SERIES
from lutier.plots.history import History
from lutier.plots.palette import light
from lutier.report.csv_files import CsvFile, csv_file
from lutier.report.plot import (
    EMPTY_HOVER,
    Plot,
    budget_line,
    finished,
    label,
    layout,
    lines,
    require_plotly,
)
from lutier.terminal import percent
from search.budget import format_ms


def history_plots(history: History, number: int) -> list[Plot]:
    """Losses, expected latency and entropy by epoch, and the training from scratch."""
    plots = []
    if history.epochs:
        csv = _epochs_csv(history, number)
        plots = [
            _losses(history, number, csv),
            _expected(history, number, csv),
            _entropy(history, number, csv),
        ]
    if history.evaluated:
        plots += _evaluations(history, number)
    if history.training_losses:
        plots.append(_training(history, number))
    return plots


def _epochs_csv(history: History, number: int) -> CsvFile:
    names = ("epoch", "phase", "train_loss", "validation_loss", "expected_ms", "entropy")
    return csv_file(
        f"epochs-{number}.csv",
        ("run", *names),
        ((history.run, *(getattr(each, name) for name in names)) for each in history.epochs),
    )


def _line(
    go: Any, epochs: Sequence[int], values: Sequence[float], name: str, color: str, unit: str
) -> Any:
    return go.Scatter(
        x=list(epochs),
        y=list(values),
        mode="lines+markers",
        name=label(name),
        line={"color": light(color), "width": 2},
        marker={"size": 6},
        text=[
            lines(
                name, f"epoch {epoch}", format_ms(value) if unit == "ms" else f"{value:.4f} {unit}"
            )
            for epoch, value in zip(epochs, values, strict=True)
        ],
        hovertemplate=EMPTY_HOVER,
    )


def _shape(history: History, y: str, **more: Any) -> dict[str, Any]:
    """Axes over epochs; those in which only weights are trained are shaded."""
    warm = [each.epoch for each in history.epochs if each.phase == "warmup"]
    shapes = more.pop("shapes", [])
    if warm:
        ends = {"x0": min(warm) - 0.5, "x1": max(warm) + 0.5, "y0": 0, "y1": 1, "yref": "paper"}
        shade = {"fillcolor": light("grid"), "opacity": 0.7, "line": {"width": 0}}
        shapes = [{"type": "rect", "layer": "below", **ends, **shade}, *shapes]
    return layout("epoch", y, shapes=shapes, xaxis=_whole(len(history.epochs)), **more)


def _whole(count: int) -> dict[str, Any]:
    """Ticks of an axis that counts from 1: whole numbers, eight at the most."""
    return {"tick0": 0, "dtick": max(1, math.ceil(count / 8))}


def _from_to(epochs: Sequence[Epoch], name: str) -> tuple[float, float]:
    return getattr(epochs[0], name), getattr(epochs[-1], name)


def _warm_text(history: History) -> str:
    warm = sum(each.phase == "warmup" for each in history.epochs)
    return f" In the first {warm} epochs, shaded, only weights are trained." if warm else ""


def _losses(history: History, number: int, csv: CsvFile) -> Plot:
    go = require_plotly()
    epochs = history.epochs
    numbers = [each.epoch for each in epochs]
    traces = [_line(go, numbers, [e.train_loss for e in epochs], "weights", "blue", "nats")]
    known = [(e.epoch, e.validation_loss) for e in epochs if e.validation_loss is not None]
    if known:
        xs, ys = [x for x, _ in known], [y for _, y in known]
        traces.append(_line(go, xs, ys, "choices", "orange", "nats"))
    first, last = _from_to(epochs, "train_loss")
    summary = (
        f"The loss of the weights went from {first:.3f} to {last:.3f} in {len(epochs)} epochs."
    )
    return Plot(
        f"plot-losses-{number}",
        "Losses",
        summary + _warm_text(history),
        finished(go, traces, _shape(history, "cross-entropy (nats)")),
        csv,
        height=300,
    )


def _expected(history: History, number: int, csv: CsvFile) -> Plot:
    go = require_plotly()
    epochs = history.epochs
    numbers, values = [e.epoch for e in epochs], [e.expected_ms for e in epochs]
    budget = {
        "type": "line",
        "x0": 0,
        "x1": 1,
        "xref": "paper",
        "y0": history.budget_ms,
        "y1": history.budget_ms,
        "line": {"color": light("bad"), "width": 1.5, "dash": "dash"},
    }
    note = {
        "x": 1,
        "xref": "paper",
        "xanchor": "right",
        "y": history.budget_ms,
        "yanchor": "bottom",
        "text": f"budget {format_ms(history.budget_ms)}",
        "showarrow": False,
        "font": {"color": light("bad"), "size": 12},
    }
    ends = [*values, history.budget_ms]
    margin = 0.12 * (max(ends) - min(ends)) or 0.1 * max(ends)
    shape = _shape(
        history,
        "ms",
        shapes=[budget],
        annotations=[note],
        yaxis={"range": [min(ends) - margin, max(ends) + margin]},
    )
    return Plot(
        f"plot-expected-{number}",
        "Expected latency",
        f"Under the probabilities of the candidates, the expected latency went from"
        f" {format_ms(values[0])} to {format_ms(values[-1])}; the budget is"
        f" {format_ms(history.budget_ms)}.",
        finished(go, [_line(go, numbers, values, "expected latency", "teal", "ms")], shape),
        csv,
        height=300,
    )


def _entropy(history: History, number: int, csv: CsvFile) -> Plot:
    go = require_plotly()
    epochs = history.epochs
    numbers, values = [e.epoch for e in epochs], [e.entropy for e in epochs]
    shape = _shape(history, "nats", yaxis={"rangemode": "tozero"})
    return Plot(
        f"plot-entropy-{number}",
        "Entropy of the choices",
        f"The mean entropy over the blocks went from {values[0]:.3f} to {values[-1]:.3f} nats; at 0"
        " every choice is made.",
        finished(go, [_line(go, numbers, values, "entropy", "plum", "nats")], shape),
        csv,
        height=300,
    )


def _evaluations(history: History, number: int) -> list[Plot]:
    go = require_plotly()
    given = history.evaluated
    orders, values = [e.order + 1 for e, _ in given], [100 * value for _, value in given]
    latencies = [e.latency_ms for e, _ in given]
    texts = [
        lines(
            each.architecture,
            f"evaluation {each.order + 1}",
            f"validation {percent(value)} after a short training",
            f"predicted {format_ms(each.latency_ms)}",
        )
        for each, value in given
    ]
    csv = csv_file(
        f"evaluations-{number}.csv",
        ("run", "order", "architecture", "value", "predicted_ms", "failure"),
        (
            (history.run, e.order, e.architecture, e.value, e.latency_ms, e.failure)
            for e in history.evaluations
        ),
    )

    def points(x: list[Any]) -> Any:
        return go.Scatter(
            x=x,
            y=values,
            mode="markers",
            name="evaluations",
            marker={"size": 8, "color": light("blue"), "opacity": 0.85},
            text=texts,
            hovertemplate=EMPTY_HOVER,
        )

    best = go.Scatter(
        x=orders,
        y=list(itertools.accumulate(values, max)),
        mode="lines",
        line={"shape": "hv", "color": light("muted"), "width": 1.5},
        name="best so far",
        hoverinfo="skip",
    )
    accuracy = "validation accuracy (%)"
    failed = len(history.evaluations) - len(given)
    best_one, best_value = max(given, key=lambda item: item[1])
    summary = (
        f"{len(given)} networks were evaluated by a short training"
        + (f", {failed} more failed" if failed else "")
        + f". The best, {percent(best_value)}, was evaluation {best_one.order + 1}."
    )
    beyond = [history.budget_ms, *latencies]
    margin = 0.06 * (max(beyond) - min(beyond)) or 0.05 * max(beyond)
    budget, note = budget_line(history.budget_ms)
    over_latency = layout(
        "predicted latency (ms)",
        accuracy,
        shapes=[budget],
        annotations=[note],
        xaxis={"range": [min(beyond) - margin, max(beyond) + margin]},
    )
    ticks = _whole(len(history.evaluations))
    in_order = finished(go, [best, points(orders)], layout("evaluation", accuracy, xaxis=ticks))
    return [
        Plot(f"plot-evaluations-{number}", "Evaluations", summary, in_order, csv, height=300),
        Plot(
            f"plot-evaluated-{number}",
            "Evaluations by predicted latency",
            f"They were predicted to take {format_ms(min(latencies))} to"
            f" {format_ms(max(latencies))}; the budget is {format_ms(history.budget_ms)}.",
            finished(go, [points(latencies)], over_latency),
            csv,
            height=300,
        ),
    ]


def _training(history: History, number: int) -> Plot:
    go = require_plotly()
    losses = history.training_losses
    traces = [
        _line(go, range(1, len(values) + 1), values, name, SERIES[i % len(SERIES)], "nats")
        for i, (name, values) in enumerate(losses.items())
    ]
    longest = max(map(len, losses.values()))
    shape = layout("epoch", "loss (nats)", xaxis=_whole(longest))
    ends = ", ".join(f"{name} at {values[-1]:.3f}" for name, values in losses.items())
    return Plot(
        f"plot-training-{number}",
        "Training from scratch",
        f"The loss of each network by epoch, label smoothing included; they ended with {ends}.",
        finished(go, traces, shape),
        csv_file(
            f"training-{number}.csv",
            ("run", "network", "epoch", "loss"),
            (
                (history.run, name, epoch, value)
                for name, values in losses.items()
                for epoch, value in enumerate(values, 1)
            ),
        ),
        height=300,
    )
