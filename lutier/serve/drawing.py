"""Small figures in SVG, drawn by the server: a page needs no program to show them.

Colours come from classes of the style sheet, so they are right in the light and in the dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 640, 150
_BOTTOM = 20
_MOST_POINTS = 4000


@dataclass(frozen=True)
class Histogram:
    """How many of some positive values lie where; the edges have equal ratios.

    Attributes:
        edges: of the bins, ascending.
        counts: one fewer.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: Sequence[float], bins: int = 40) -> Histogram:
        """The histogram of some values; empty where none is positive and finite."""
        known = sorted(value for value in values if 0 < value < math.inf)
        if not known:
            return cls((), ())
        low, high = known[0], known[-1]
        if high <= low * (1 + 1e-9):
            low, high = low / 1.01, high * 1.01
        ratio = (high / low) ** (1 / bins)
        edges = [low * ratio**i for i in range(bins)] + [high]
        counts = [0] * bins
        for value in known:
            place = int(math.log(value / low) / math.log(ratio))
            counts[min(max(place, 0), bins - 1)] += 1
        return cls(tuple(edges), tuple(counts))

    def place(self, value: float) -> float:
        """Where a value is between the first edge (0) and the last (1)."""
        low, high = self.edges[0], self.edges[-1]
        return math.log(value / low) / math.log(high / low)

    def svg(self, label: str, marks: Sequence[tuple[str, float]] = ()) -> Markup:
        """Bars, and lines across them.

        Args:
            label: what it shows, in words.
            marks: class and value of the lines; those out of reach are left out.
        """
        if not self.counts:
            return Markup("")
        most = max(self.counts)
        width = WIDTH / len(self.counts)
        room = HEIGHT - _BOTTOM
        bars = Markup("").join(
            Markup('<rect class="bar-fill" x="{}" y="{}" width="{}" height="{}"/>').format(
                _number(i * width + 0.5),
                _number(room * (1 - count / most)),
                _number(max(width - 1, 0.5)),
                _number(room * count / most),
            )
            for i, count in enumerate(self.counts)
            if count
        )
        lines = Markup("").join(
            Markup('<line class="{}" x1="{}" x2="{}" y1="0" y2="{}"/>').format(name, x, x, room)
            for name, value in marks
            if self.edges[0] <= value <= self.edges[-1]
            for x in [_number(WIDTH * self.place(value))]
        )
        return _svg(label, bars + lines + _floor())


def visits_svg(
    values_ms: Sequence[Sequence[float]],
    figures_ms: Sequence[float],
    interval_ms: tuple[float, float] | None,
    label: str,
) -> Markup:
    """Timed runs as dots over the visits they belong to, and what stands for each visit.

    Args:
        values_ms: runs of each visit.
        figures_ms: the latency of each visit.
        interval_ms: band of the 95 % interval of the median.
        label: what it shows, in words.
    """
    every = sorted(value for visit in values_ms for value in visit)
    if not every or len(figures_ms) != len(values_ms):
        return Markup("")
    # One run in a hundred may be far above all others; it would press them to a line.
    ends = [min(every), every[min(int(0.99 * len(every)), len(every) - 1)], *figures_ms]
    low, high = min(ends), max(ends)
    if interval_ms:
        low, high = min(low, interval_ms[0]), max(high, interval_ms[1])
    room, span = HEIGHT - _BOTTOM, (high - low) or high or 1.0

    def y(value: float) -> str:
        return _number(4 + (room - 8) * (1 - (min(value, high) - low) / span))

    step = WIDTH / len(values_ms)
    parts = []
    if interval_ms:
        top, bottom = float(y(interval_ms[1])), float(y(interval_ms[0]))
        parts.append(
            Markup('<rect class="band" x="0" y="{}" width="{}" height="{}"/>').format(
                top, WIDTH, _number(max(bottom - top, 1))
            )
        )
    keep = max(1, math.ceil(len(every) / _MOST_POINTS))
    runs = [((i + 0.5) * step, v) for i, visit in enumerate(values_ms) for v in visit[::keep]]
    stand_ins = [((i + 0.5) * step, value) for i, value in enumerate(figures_ms)]
    for name, points in (("run-dot", runs), ("visit-dot", stand_ins)):
        # A line without a length, whose round ends keep their shape however the figure is drawn.
        path = "".join(f"M{_number(x)} {y(value)}h.01" for x, value in points)
        parts.append(Markup('<path class="{}" d="{}"/>').format(name, path))
    return _svg(label, Markup("").join(parts) + _floor())


def strip_svg(low: float, middle: float, high: float, ends: tuple[float, float]) -> Markup:
    """A line from the least to the most on an axis of equal ratios, and a dot in between."""
    first, last = ends
    span = math.log(last / first) if 0 < first < last else 0.0

    def x(value: float) -> str:
        return _number(4 + (92 * math.log(value / first) / span if span else 46))

    return Markup(
        '<svg class="strip" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"'
        ' focusable="false"><line class="strip-line" x1="{}" x2="{}" y1="5" y2="5"/>'
        '<line class="strip-dot" x1="{}" x2="{}" y1="1" y2="9"/></svg>'
    ).format(x(low), x(high), x(middle), x(middle))


def share_svg(share: float, label: str) -> Markup:
    """A bar of which a share is filled."""
    return Markup(
        '<svg class="meter" viewBox="0 0 100 1" preserveAspectRatio="none" role="img"'
        ' aria-label="{}"><rect class="meter-room" width="100" height="1"/>'
        '<rect class="meter-fill" width="{}" height="1"/></svg>'
    ).format(label, _number(100 * share))


def _floor() -> Markup:
    return Markup('<line class="floor" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
        WIDTH, HEIGHT - _BOTTOM, HEIGHT - _BOTTOM
    )


def _svg(label: str, inner: Markup) -> Markup:
    return Markup(
        '<svg class="figure" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT - _BOTTOM + 1, label, inner)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
