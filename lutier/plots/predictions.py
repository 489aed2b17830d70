"""Predicted against measured latencies, beside how far measurements agree with themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency_models.evaluate import Evaluation
from lutier.plots.details import Candidate
from lutier.plots.drawing import Drawn, new_figure, style
from lutier.plots.evidence import Evidence
from lutier.plots.palette import light
from lutier.plots.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS = ("held out", "calibrated on", "candidate", "result")
"""Networks that took part in no fit; that the model was fitted to; that a search measured on its
way; that it found."""
GROUP_COLORS = dict(zip(GROUPS, ("blue", "gray", "orange", "plum"), strict=True))


@dataclass(frozen=True)
class Prediction:
    """A network with its predicted and its measured latency.

    Attributes:
        group: of :data:`GROUPS`.
        run: name of the search; empty where it is none's.
        architecture: id of the network.
        measured_ms: median.
        predicted_ms: by the calibrated model.
    """

    group: str
    run: str
    architecture: str
    measured_ms: float
    predicted_ms: float

    @property
    def error(self) -> float:
        """Relative to what was measured; positive is predicted too high."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Predictions(Drawn):
    """The networks of one space on one target.

    Attributes:
        target: they were measured on.
        space: they are of.
        points: by group.
        noise_floor: split-half error of the measured networks, relative; ``None`` where it is not
            known.
        evaluation: of the model on the networks held out; ``None`` where there is no model.
    """

    target: str
    space: str
    points: tuple[Prediction, ...]
    noise_floor: float | None
    evaluation: Evaluation | None

    def group(self, name: str) -> tuple[Prediction, ...]:
        """The points of one group."""
        return tuple(point for point in self.points if point.group == name)

    def figure(self) -> Figure:
        """Predicted over measured, and the relative error."""
        figure = new_figure(9, 3.8)
        left, right = figure.subplots(1, 2)
        draw_predictions(self, left)
        draw_errors(self, right)
        return figure


def predictions(runs: Sequence[Run], evidence: Mapping[str, Evidence]) -> list[Predictions]:
    """Gather what was both predicted and measured, by target and space.

    Args:
        runs: the searches.
        evidence: of their targets.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((str(run.result.load_target()), run.space.name), []).append(run)
    return [
        _of(target, space, members, evidence.get(target))
        for (target, space), members in groups.items()
    ]


def _of(target: str, space: str, runs: list[Run], evidence: Evidence | None) -> Predictions:
    points: list[Prediction] = []
    model = evidence.models.get(space) if evidence else None
    floors = [run.details.model.noise_floor for run in runs]
    floor = next((each for each in floors if each is not None), None)
    if model is not None:
        metadata = model[1]
        for group, figures in (
            ("held out", metadata.held_out),
            ("calibrated on", metadata.calibration),
        ):
            points += [
                Prediction(group, "", each.id, each.measured_ms, each.predicted_ms)
                for each in figures
            ]
        floor = metadata.evaluation.noise_floor if floor is None else floor
    for run in runs:
        looked_at: list[Candidate] = [*run.details.rounds, *run.details.finalists]
        points += [
            Prediction("candidate", run.name, one.architecture, one.measured_ms, one.predicted_ms)
            for one in looked_at
            if one.measured_ms is not None and one.measured_ms > 0
        ]
    for run in runs:
        found = run.result
        both_ms = (found.measured_ms, found.predicted_ms)
        points.append(Prediction("result", run.name, found.architecture, *both_ms))
    evaluation = model[1].evaluation if model else None
    return Predictions(target, space, tuple(points), floor, evaluation)


def _scatter(given: Predictions, axes: Axes, errors: bool) -> None:
    for group in GROUPS:
        points = given.group(group)
        if points:
            axes.scatter(
                [point.measured_ms for point in points],
                [100 * p.error if errors else p.predicted_ms for p in points],
                s=45 if group == "result" else 18,
                color=light(GROUP_COLORS[group]),
                marker="D" if group == "result" else "o",
                alpha=0.85,
                linewidth=0,
                label=f"{group} ({len(points)})",
                zorder=3 if group == "result" else 2,
            )


def draw_predictions(given: Predictions, axes: Axes) -> None:
    """Predicted over measured latency; on the line they agree.

    Args:
        given: what is drawn.
        axes: where.
    """
    values = [v for point in given.points for v in (point.measured_ms, point.predicted_ms)]
    ends = (min(values), max(values))
    axes.plot(ends, ends, color=light("muted"), linewidth=1, zorder=1)
    _scatter(given, axes, errors=False)
    title = f"{given.space} on {given.target}"
    style(axes, title, "measured latency (ms)", "predicted latency (ms)")
    axes.legend(frameon=False, fontsize=8, labelcolor=light("text"))


def draw_errors(given: Predictions, axes: Axes) -> None:
    """Relative error of each prediction, and the band of the noise floor.

    Args:
        given: what is drawn.
        axes: where.
    """
    if given.noise_floor is not None:
        floor = 100 * given.noise_floor
        axes.axhspan(-floor, floor, color=light("grid"), zorder=0, label="noise floor")
    axes.axhline(0, color=light("muted"), linewidth=1, zorder=1)
    _scatter(given, axes, errors=True)
    style(axes, "relative error", "measured latency (ms)", "predicted / measured - 1 (%)")
    if given.noise_floor is not None:
        axes.legend(handles=[axes.patches[0]], frameon=False, fontsize=8, labelcolor=light("text"))
