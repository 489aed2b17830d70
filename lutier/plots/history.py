"""How a search went: its epochs, or how many networks each of its steps left."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lutier.plots.blocks import describe_op
from lutier.plots.details import Epoch, Evaluated, Funnel, Trained, Tried
from lutier.plots.drawing import Drawn, new_figure, plain, style
from lutier.plots.palette import light
from lutier.plots.runs import Run
from search.spaces.base import ChainSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Preference:
    """What a search thought of the candidates of one block in the end.

    Attributes:
        block: from 1.
        labels: of the candidates.
        probabilities: of each; they add up to 1.
        chosen: index of the one that the network found has.
    """

    block: int
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    chosen: int

    def probability(self, label: str) -> float | None:
        """Of the candidate with this label; ``None`` where the block has none such."""
        return dict(zip(self.labels, self.probabilities, strict=True)).get(label)


@dataclass(frozen=True)
class History(Drawn):
    """How one search went. What its method does not keep is empty.

    Attributes:
        run: name of the search.
        method: of the search.
        budget_ms: it had.
        epochs: of the search by gradients.
        rounds: networks measured while the budget was being met.
        finalists: networks that were measured and trained.
        evaluations: networks that a strategy evaluated, in order.
        funnel: how many networks each step left.
        train_loss: of each epoch of the final training from scratch.
        preferences: by block.
    """

    run: str
    method: str
    budget_ms: float
    epochs: tuple[Epoch, ...]
    rounds: tuple[Tried, ...]
    finalists: tuple[Trained, ...]
    evaluations: tuple[Evaluated, ...]
    funnel: Funnel | None
    train_loss: tuple[float, ...]
    preferences: tuple[Preference, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the method kept nothing of its course."""
        course = (self.epochs, self.rounds, self.finalists, self.evaluations, self.train_loss)
        return not (any(course) or self.funnel)

    @property
    def evaluated(self) -> tuple[tuple[Evaluated, float], ...]:
        """The evaluations that did not fail, each with its value."""
        return tuple((each, each.value) for each in self.evaluations if each.value is not None)

    @property
    def training_losses(self) -> dict[str, tuple[float, ...]]:
        """Loss of each epoch of training from scratch, by network."""
        losses = {each.architecture: each.train_loss for each in self.finalists if each.train_loss}
        if self.train_loss:
            losses["the network found"] = self.train_loss
        return losses

    @property
    def candidate_labels(self) -> tuple[str, ...]:
        """Labels of the candidates of all blocks, each once."""
        return tuple(dict.fromkeys(name for each in self.preferences for name in each.labels))

    def figure(self) -> Figure:
        """Losses, expected latency and entropy by epoch; evaluations; or the training losses."""
        if self.evaluations:
            figure = new_figure(10, 3.2)
            left, right = figure.subplots(1, 2)
            draw_evaluations(self, left)
            draw_training(self, right)
            return figure
        if not self.epochs:
            figure = new_figure(6.4, 3.2)
            draw_training(self, figure.subplots())
            return figure
        figure = new_figure(10, 3.2)
        losses, latency, entropy = figure.subplots(1, 3)
        draw_losses(self, losses)
        draw_expected(self, latency)
        draw_entropy(self, entropy)
        return figure


def histories(runs: Sequence[Run]) -> list[History]:
    """The course of each search."""
    return [
        History(
            run=run.name,
            method=run.result.method,
            budget_ms=run.result.budget_ms,
            epochs=run.details.history,
            rounds=run.details.rounds,
            finalists=run.details.finalists,
            evaluations=run.details.evaluations,
            funnel=run.details.funnel,
            train_loss=run.details.trained.train_loss,
            preferences=_preferences(run),
        )
        for run in runs
    ]


def _preferences(run: Run) -> tuple[Preference, ...]:
    space, probabilities = run.space, run.details.probabilities
    widths = tuple(len(block) for block in probabilities)
    if not isinstance(space, ChainSpace) or widths != space.widths:
        return ()
    return tuple(
        Preference(i + 1, tuple(describe_op(op) for op in ops), values, chosen)
        for i, (ops, values, chosen) in enumerate(
            zip(space.blocks, probabilities, run.architecture.choices, strict=True)
        )
    )


def _warm_up(history: History, axes: Axes) -> None:
    """Shade the epochs in which only weights are trained."""
    warm = [each.epoch for each in history.epochs if each.phase == "warmup"]
    if warm:
        axes.axvspan(min(warm) - 0.5, max(warm) + 0.5, color=light("raised"), zorder=0)


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], color: str, label: str) -> None:
    axes.plot(x, y, color=light(color), linewidth=1.6, marker="o", markersize=3, label=plain(label))


def draw_losses(history: History, axes: Axes) -> None:
    """Loss of the weights and cross-entropy of the choices, by epoch."""
    _warm_up(history, axes)
    epochs = history.epochs
    _line(axes, [e.epoch for e in epochs], [e.train_loss for e in epochs], "blue", "weights")
    known = [(e.epoch, e.validation_loss) for e in epochs if e.validation_loss is not None]
    if known:
        _line(axes, [x for x, _ in known], [y for _, y in known], "orange", "choices")
    style(axes, f"{history.run}: loss", "epoch", "cross-entropy (nats)")
    axes.legend(frameon=False, fontsize=8, labelcolor=light("text"))


def draw_expected(history: History, axes: Axes) -> None:
    """Expected latency under the probabilities by epoch, and the budget."""
    _warm_up(history, axes)
    epochs = history.epochs
    _line(axes, [e.epoch for e in epochs], [e.expected_ms for e in epochs], "teal", "expected")
    axes.axhline(history.budget_ms, color=light("bad"), linestyle="--", linewidth=1, label="budget")
    style(axes, "expected latency", "epoch", "ms")
    axes.legend(frameon=False, fontsize=8, labelcolor=light("text"))


def draw_entropy(history: History, axes: Axes) -> None:
    """Entropy of the probabilities by epoch: how open the choices still are."""
    _warm_up(history, axes)
    epochs = history.epochs
    _line(axes, [e.epoch for e in epochs], [e.entropy for e in epochs], "plum", "entropy")
    axes.set_ylim(bottom=0)
    style(axes, "entropy of the choices", "epoch", "nats, mean over blocks")


def draw_evaluations(history: History, axes: Axes) -> None:
    """Value of each evaluation in order, and the best so far."""
    given = history.evaluated
    orders, values = [e.order + 1 for e, _ in given], [100 * value for _, value in given]
    axes.scatter(orders, values, s=18, color=light("blue"), linewidth=0, label="evaluations")
    best = list(itertools.accumulate(values, max))
    axes.plot(
        orders, best, color=light("muted"), drawstyle="steps-post", linewidth=1.4, label="best"
    )
    title = f"{history.run}: evaluations"
    style(axes, title, "evaluation", "validation accuracy, short training (%)")
    axes.legend(frameon=False, fontsize=8, labelcolor=light("text"))


def draw_training(history: History, axes: Axes) -> None:
    """Loss of each epoch of training from scratch, a line for each network."""
    colors = ("blue", "orange", "teal", "plum")
    for i, (name, losses) in enumerate(history.training_losses.items()):
        _line(axes, range(1, len(losses) + 1), losses, colors[i % len(colors)], name)
    style(axes, f"{history.run}: training from scratch", "epoch", "loss")
    if history.training_losses:
        axes.legend(frameon=False, fontsize=8, labelcolor=light("text"))
