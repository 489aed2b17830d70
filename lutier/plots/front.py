"""Accuracy and measured latency of all networks that were trained, and which are the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from devices.target import Target
from lutier.plots.drawing import Drawn, new_figure, plain, style
from lutier.plots.palette import light
from lutier.plots.runs import Run
from search.budget import format_ms
from search.pareto import pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_SPAN = 0.04
SERIES = ("blue", "orange", "teal", "plum", "gray")


@dataclass(frozen=True)
class FrontPoint:
    """A network that was trained and measured.

    Attributes:
        run: name of the search.
        method: of the search.
        role: ``result``, or ``finalist`` of one that was not chosen in the end.
        architecture: id of the network.
        accuracy: share of the test split classified correctly.
        validation_accuracy: the same of the validation split.
        measured_ms: median.
        low_ms: lower end of its 95 % confidence interval; ``None`` where it was not kept.
        high_ms: upper end.
        predicted_ms: by the latency model.
        budget_ms: of the search.
        on_front: whether no other network is as accurate and as fast, and better in one.
    """

    run: str
    method: str
    role: str
    architecture: str
    accuracy: float
    validation_accuracy: float | None
    measured_ms: float
    low_ms: float | None
    high_ms: float | None
    predicted_ms: float
    budget_ms: float
    on_front: bool = False

    @property
    def is_within_budget(self) -> bool:
        """Whether the measured median is within the budget of its search."""
        return self.measured_ms <= self.budget_ms


@dataclass(frozen=True)
class Front(Drawn):
    """What can be compared: networks for one target, trained on the same data.

    Attributes:
        target: they were measured on.
        data: they were trained on.
        points: in the order of the runs, results before finalists.
        budgets_ms: of the searches, ascending.
    """

    target: str
    data: str
    points: tuple[FrontPoint, ...]
    budgets_ms: tuple[float, ...]

    @property
    def front(self) -> tuple[FrontPoint, ...]:
        """The points that are not dominated, from the fastest to the most accurate."""
        return tuple(sorted((p for p in self.points if p.on_front), key=lambda p: p.measured_ms))

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs."""
        return tuple(dict.fromkeys(point.run for point in self.points))

    @property
    def accuracy_range(self) -> tuple[float, float]:
        """From what to what accuracy to draw; not so little that noise looks like a difference."""
        values = [point.accuracy for point in self.points]
        middle = (min(values) + max(values)) / 2
        half = max(0.6 * (max(values) - min(values)), _LEAST_SPAN / 2)
        return max(middle - half, -0.01), min(middle + half, 1.005)

    def figure(self) -> Figure:
        """Accuracy over latency."""
        figure = new_figure(6.4, 4.2)
        draw_front(self, figure.subplots())
        return figure


def fronts(runs: Sequence[Run]) -> list[Front]:
    """Gather the networks of some searches, by target and data.

    A network that a search found and another one trained too is there twice: they are two
    trainings.
    """
    groups: dict[tuple[str, str], list[FrontPoint]] = {}
    for run in runs:
        result = run.result
        point = FrontPoint(
            run.name,
            result.method,
            "result",
            result.architecture,
            result.accuracy,
            result.validation_accuracy,
            result.measured_ms,
            *result.measured_interval_ms,
            result.predicted_ms,
            result.budget_ms,
        )
        here = groups.setdefault((str(result.load_target()), result.data), [])
        here.append(point)
        here += _finalists(run)
        for further in run.details.also:
            other = replace(
                point,
                measured_ms=further.measured_ms,
                low_ms=None,
                high_ms=None,
                predicted_ms=further.predicted_ms,
                budget_ms=further.budget_ms,
            )
            key = str(Target.parse(further.target)), result.data
            groups.setdefault(key, []).append(other)
    return [_front(*key, points) for key, points in groups.items()]


def _finalists(run: Run) -> list[FrontPoint]:
    result = run.result
    return [
        FrontPoint(
            run.name,
            result.method,
            "finalist",
            each.architecture,
            each.test_accuracy,
            each.validation_accuracy,
            each.measured_ms,
            None,
            None,
            each.predicted_ms,
            result.budget_ms,
        )
        for each in run.details.finalists
        if each.architecture != result.architecture
        and each.test_accuracy is not None
        and each.measured_ms is not None
    ]


def _front(target: str, data: str, points: list[FrontPoint]) -> Front:
    best = set(
        pareto_front(
            [point.accuracy for point in points], [point.measured_ms for point in points]
        ).tolist()
    )
    marked = tuple(replace(point, on_front=i in best) for i, point in enumerate(points))
    return Front(target, data, marked, tuple(sorted({point.budget_ms for point in points})))


def draw_front(front: Front, axes: Axes) -> None:
    """Accuracy over latency: intervals as error bars, budgets as lines.

    Args:
        front: what is drawn.
        axes: where.
    """
    best = front.front
    axes.plot(
        [point.measured_ms for point in best],
        [100 * point.accuracy for point in best],
        drawstyle="steps-post",
        color=light("muted"),
        linewidth=1.2,
        label="front" if len(best) > 1 else None,
        zorder=1,
    )
    for name, color in zip(front.runs, _cycled(len(front.runs)), strict=True):
        for role, marker, size in (("result", "o", 60), ("finalist", "o", 28)):
            points = [p for p in front.points if p.run == name and p.role == role]
            if not points:
                continue
            axes.scatter(
                [p.measured_ms for p in points],
                [100 * p.accuracy for p in points],
                s=size,
                marker=marker,
                color=light(color) if role == "result" else "none",
                edgecolor=light(color),
                linewidth=1.5,
                label=plain(name if role == "result" else f"{name}, finalists"),
                zorder=3,
            )
            for point in points:
                if point.low_ms is not None and point.high_ms is not None:
                    ends = [[point.measured_ms - point.low_ms], [point.high_ms - point.measured_ms]]
                    axes.errorbar(
                        point.measured_ms,
                        100 * point.accuracy,
                        xerr=ends,
                        color=light(color),
                        capsize=3,
                        linewidth=1.2,
                        zorder=2,
                    )
    for budget_ms in front.budgets_ms:
        axes.axvline(budget_ms, color=light("bad"), linestyle="--", linewidth=1)
        axes.annotate(
            f"budget {format_ms(budget_ms)}",
            (budget_ms, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -4),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
            color=light("bad"),
        )
    style(
        axes,
        f"{front.target}, {front.data}",
        "measured latency (ms), with its 95 % interval",
        "accuracy on the test split (%)",
    )
    axes.margins(x=0.12)
    low, high = front.accuracy_range
    axes.set_ylim(100 * low, 100 * high)
    axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor=light("text"),
        loc="upper left",
        bbox_to_anchor=(0, -0.14),
        ncols=3,
    )


def _cycled(count: int) -> list[str]:
    return [SERIES[i % len(SERIES)] for i in range(count)]
