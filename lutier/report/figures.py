"""The page's figures of fronts, predictions and blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lutier.plots.blocks import Breakdown
from lutier.plots.front import SERIES, Front, FrontPoint
from lutier.plots.palette import kernel_color, light
from lutier.plots.predictions import GROUP_COLORS, GROUPS, Prediction, Predictions
from lutier.plots.wording import interval_text, latency_text, shape_text, verdict
from lutier.report.csv_files import csv_file
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

Anchor = Callable[[str, str], str | None]
"""The id of the element of a network, by target and architecture; ``None`` where it has none."""
_OPENS = "click: to the network"
_POINT = ("run", "method", "role", "architecture", "accuracy", "validation_accuracy", "measured_ms")
_POINT_MORE = ("low_ms", "high_ms", "predicted_ms", "budget_ms", "on_front")


def front_plot(front: Front, number: int, anchor: Anchor) -> Plot:
    """Accuracy over measured latency, with budgets as lines and intervals as error bars."""
    go = require_plotly()
    best = front.front
    traces = [
        go.Scatter(
            x=[p.measured_ms for p in best],
            y=[100 * p.accuracy for p in best],
            mode="lines",
            line={"shape": "hv", "color": light("muted"), "width": 1.5},
            hoverinfo="skip",
            name="front",
            showlegend=len(best) > 1,
        )
    ]
    for i, name in enumerate(front.runs):
        color = light(SERIES[i % len(SERIES)])
        for role in ("finalist", "result"):
            points = [p for p in front.points if p.run == name and p.role == role]
            if points:
                traces.append(_front_trace(go, front.target, (name, role), points, color, anchor))
    budgets = [budget_line(budget_ms) for budget_ms in front.budgets_ms]
    low, high = front.accuracy_range
    latencies = [v for p in front.points for v in (p.low_ms, p.high_ms, p.measured_ms) if v]
    ends_ms = [*latencies, *front.budgets_ms]
    margin = 0.06 * (max(ends_ms) - min(ends_ms)) or 0.05 * max(ends_ms)
    shape = layout(
        "measured latency (ms)",
        "accuracy on the test split (%)",
        xaxis={"range": [min(ends_ms) - margin, max(ends_ms) + margin]},
        yaxis={"range": [100 * low, 100 * high]},
        shapes=[line for line, _ in budgets],
        annotations=[note for _, note in budgets],
    )
    return Plot(
        f"plot-front-{number}",
        f"{front.data} on {front.target}",
        _front_summary(front),
        finished(go, traces, shape),
        csv_file(
            f"networks-{number}.csv",
            ("target", "data", *_POINT, *_POINT_MORE),
            (
                (
                    front.target,
                    front.data,
                    *(getattr(point, name) for name in (*_POINT, *_POINT_MORE)),
                )
                for point in front.points
            ),
        ),
        height=440,
    )


def _front_trace(
    go: Any,
    target: str,
    series: tuple[str, str],
    points: list[FrontPoint],
    color: str,
    anchor: Anchor,
) -> Any:
    def above(point: FrontPoint) -> float:
        return 0.0 if point.high_ms is None else point.high_ms - point.measured_ms

    def below(point: FrontPoint) -> float:
        return 0.0 if point.low_ms is None else point.measured_ms - point.low_ms

    name, role = series
    is_result = role == "result"
    return go.Scatter(
        x=[p.measured_ms for p in points],
        y=[100 * p.accuracy for p in points],
        mode="markers",
        name=label(name if is_result else f"{name}, finalists"),
        marker={
            "size": 13 if is_result else 9,
            "color": color if is_result else light("page"),
            "line": {"color": color, "width": 2},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [above(p) for p in points],
            "arrayminus": [below(p) for p in points],
            "color": color,
            "thickness": 1.5,
            "width": 5,
            "visible": is_result,
        },
        text=[_front_text(p, target, anchor) for p in points],
        customdata=[anchor(target, p.architecture) for p in points],
        hovertemplate=EMPTY_HOVER,
    )


def _front_text(point: FrontPoint, target: str, anchor: Anchor) -> str:
    known = anchor(target, point.architecture)
    validation = point.validation_accuracy
    return lines(
        point.architecture,
        f"{point.run}, {point.role}",
        f"accuracy {percent(point.accuracy)}"
        + (f" (validation {percent(validation)})" if validation is not None else ""),
        f"measured {format_ms(point.measured_ms)} {interval_text(point.low_ms, point.high_ms)}",
        f"predicted {format_ms(point.predicted_ms)}",
        f"budget {format_ms(point.budget_ms)}: {verdict(point.is_within_budget)}",
        _OPENS if known else "",
    )


def _front_summary(front: Front) -> str:
    within = [point for point in front.points if point.is_within_budget]
    text = f"{len(front.points)} networks, trained on {front.data}, measured on {front.target}."
    if within:
        best = max(within, key=lambda point: (point.accuracy, -point.measured_ms))
        text += (
            f" The most accurate within its budget, of equals the fastest, is {best.architecture}"
            f" ({best.run}): {percent(best.accuracy)} at {format_ms(best.measured_ms)},"
            f" budget {format_ms(best.budget_ms)}."
        )
    else:
        text += " None is within its budget."
    return f"{text} Beaten by none in both accuracy and latency: {len(front.front)}."


def prediction_plots(given: Predictions, number: int, anchor: Anchor) -> list[Plot]:
    """Predicted over measured latency, and the relative error with the noise floor."""
    go = require_plotly()
    name = f"{given.space} on {given.target}"
    names = ("group", "run", "architecture", "measured_ms", "predicted_ms", "error")
    csv = csv_file(
        f"predictions-{number}.csv",
        ("target", "space", *names),
        ((given.target, given.space, *(getattr(p, name) for name in names)) for p in given.points),
    )
    values = [v for p in given.points for v in (p.measured_ms, p.predicted_ms)]
    diagonal = {
        "type": "line",
        "x0": min(values),
        "y0": min(values),
        "x1": max(values),
        "y1": max(values),
        "line": {"color": light("muted"), "width": 1},
        "layer": "below",
    }
    agreement = finished(
        go,
        _prediction_traces(go, given, anchor, errors=False),
        layout("measured latency (ms)", "predicted latency (ms)", shapes=[diagonal]),
    )
    floor = given.noise_floor
    band = [] if floor is None else [_band(100 * floor)]
    zero = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 0, "y1": 0}
    zero["line"] = {"color": light("muted"), "width": 1}
    errors = finished(
        go,
        _prediction_traces(go, given, anchor, errors=True),
        layout("measured latency (ms)", "predicted / measured - 1 (%)", shapes=[*band, zero]),
    )
    summary = _prediction_summary(given)
    return [
        Plot(f"plot-predicted-{number}", f"{name}: latency", summary, agreement, csv),
        Plot(
            f"plot-errors-{number}", f"{name}: relative error", _error_summary(given), errors, csv
        ),
    ]


def _band(floor: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": 0,
        "x1": 1,
        "xref": "paper",
        "y0": -floor,
        "y1": floor,
        "fillcolor": light("line"),
        "opacity": 0.55,
        "line": {"width": 0},
        "layer": "below",
    }


def _prediction_traces(go: Any, given: Predictions, anchor: Anchor, errors: bool) -> list[Any]:
    traces = []
    for group in GROUPS:
        points = given.group(group)
        if not points:
            continue
        is_result = group == "result"
        traces.append(
            go.Scatter(
                x=[p.measured_ms for p in points],
                y=[100 * p.error if errors else p.predicted_ms for p in points],
                mode="markers",
                name=f"{group} ({len(points)})",
                marker={
                    "size": 12 if is_result else 8,
                    "symbol": "diamond" if is_result else "circle",
                    "color": light(GROUP_COLORS[group]),
                    "opacity": 0.9,
                },
                text=[_prediction_text(given.target, p, anchor) for p in points],
                customdata=[anchor(given.target, p.architecture) for p in points],
                hovertemplate=EMPTY_HOVER,
            )
        )
    return traces


def _prediction_text(target: str, point: Prediction, anchor: Anchor) -> str:
    return lines(
        point.architecture,
        f"{point.run}, {point.group}" if point.run else point.group,
        f"measured {format_ms(point.measured_ms)}",
        f"predicted {format_ms(point.predicted_ms)} ({100 * point.error:+.2f} %)",
        _OPENS if anchor(target, point.architecture) else "",
    )


def _prediction_summary(given: Predictions) -> str:
    evaluation = given.evaluation
    if evaluation is None:
        return (
            f"{len(given.points)} networks of {given.space} that searches measured on"
            f" {given.target}; on the line prediction and measurement agree."
        )
    return (
        f"On {evaluation.n} networks that took part in no fit the mean error is"
        f" {percent(evaluation.mape)}, {percent(evaluation.within_5)} are within 5 %, and the rank"
        f" correlation (Spearman) is {evaluation.spearman:.3f}."
    )


def _error_summary(given: Predictions) -> str:
    floor = given.noise_floor
    if floor is None:
        return "How far measurements agree with themselves is not known here."
    inside = sum(abs(point.error) <= floor for point in given.points)
    return (
        f"The band is the noise floor, {percent(floor)}: so far two halves of one measurement"
        f" differ, and nothing can be told to predict better. {inside} of {len(given.points)}"
        " points lie in it."
    )


def block_plot(breakdown: Breakdown, plot_id: str) -> Plot:
    """A bar for each block of a network, with its interval."""
    go = require_plotly()
    blocks = breakdown.blocks

    def ends(of: str) -> list[float]:
        found = []
        for block in blocks:
            end, value = getattr(block, of), block.latency_ms
            found.append(abs(end - value) if end is not None and value is not None else 0.0)
        return found

    texts = []
    for block in blocks:
        share = breakdown.share(block)
        texts.append(
            lines(
                f"{block.name}: {block.label}",
                f"{latency_text(block)} {interval_text(block.low_ms, block.high_ms)}",
                f"{percent(share)} of the sum" if share is not None else "",
                f"{shape_text(block.input_shape)} to {shape_text(block.output_shape)}",
                f"{block.source}; {block.flops / 1e6:.2f} MFLOPs, {block.parameters:,} parameters",
            )
        )
    trace = go.Bar(
        x=[block.name for block in blocks],
        y=[block.latency_ms for block in blocks],
        marker={
            "color": [light(kernel_color(block.kernel)) for block in blocks],
            "opacity": 0.85,
            "pattern": {
                "shape": ["/" if block.source == "regressed" else "" for block in blocks],
                "fgcolor": light("page"),
            },
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": ends("high_ms"),
            "arrayminus": ends("low_ms"),
            "color": light("text"),
            "thickness": 1.2,
            "width": 3,
        },
        text=texts,
        textposition="none",
        hovertemplate=EMPTY_HOVER,
        showlegend=False,
    )
    names = [f"{label(block.label)}" for block in blocks]
    shape = layout(
        "",
        "latency in a network (ms)",
        bargap=0.28,
        xaxis={
            "tickmode": "array",
            "tickvals": [block.name for block in blocks],
            "ticktext": names,
            "tickangle": -50,
            "showgrid": False,
        },
        yaxis={"rangemode": "tozero"},
    )
    head = ("place", "number", "label", "key", "latency_ms", "low_ms", "high_ms", "source", "flops")
    return Plot(
        plot_id,
        "Where the milliseconds go",
        _block_summary(breakdown),
        finished(go, [trace], shape),
        csv_file(
            f"{breakdown.architecture.replace(':', '-')}-blocks.csv",
            (*head, "parameters", "input_shape", "output_shape"),
            (
                (
                    *(getattr(block, name) for name in head),
                    block.parameters,
                    shape_text(block.input_shape),
                    shape_text(block.output_shape),
                )
                for block in blocks
            ),
        ),
        height=340,
    )


def _block_summary(breakdown: Breakdown) -> str:
    known = [block for block in breakdown.blocks if block.latency_ms is not None]
    slowest = max(known, key=lambda block: block.latency_ms or 0.0)
    share, total = breakdown.share(slowest), breakdown.sum_ms
    text = f"The slowest is {slowest.name} ({slowest.label}) with {latency_text(slowest)}"
    text += f", {percent(share)} of the sum." if share is not None else "."
    if total is not None:
        text += f" The ops add up to {format_ms(total)}."
    else:
        text += f" {len(breakdown.blocks) - len(known)} blocks are not known."
    regressed = sum(block.source == "regressed" for block in known)
    if regressed:
        text += f" {regressed} hatched bars are of regressors, not measured."
    return text
