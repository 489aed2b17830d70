"""Maps of a latency table: kernel by channels by resolution, what is measured, and how well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devices.target import Target
from lutier.coverage import cover
from lutier.plots.drawing import Drawn, new_figure, style
from lutier.plots.palette import HEAT, HEAT_TEXT, LIGHT, light
from profiler.ops import OpSpec
from profiler.quality import SOUND
from profiler.table import LatencyTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lutier.plots.evidence import Evidence
    from lutier.plots.runs import Run

Status = Literal["measured", "regressed", "missing", "failed"]


@dataclass(frozen=True)
class Cell:
    """One op of a space.

    Attributes:
        key: of the op.
        status: ``measured``; ``regressed``, near enough to measured ops for a regressor;
            ``missing``; or ``failed`` when it was measured.
        latency_ms: in a network, of a measured op.
        low_ms: lower end of its 95 % interval, ``None`` where it is not known.
        high_ms: upper end.
        findings: the rules of quality that object; ``None`` where none was asked.
        why: of a missing or failed op.
    """

    key: str
    status: Status
    latency_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    findings: tuple[str, ...] | None = None
    why: str = ""

    @property
    def is_doubtful(self) -> bool:
        """Whether a rule of quality objects."""
        return bool(self.findings)


@dataclass(frozen=True)
class Column:
    """One column of a map: a kernel size, and an expansion where the kind has one."""

    kernel: int
    expand: int | None

    def __str__(self) -> str:
        return f"k{self.kernel}" if self.expand is None else f"k{self.kernel} e{self.expand}"


@dataclass(frozen=True)
class LatencyMap(Drawn):
    """The ops of one kind at one resolution.

    Attributes:
        kind: of the ops.
        height: of their input, in pixels.
        width: the same.
        columns: kernel sizes and expansions.
        rows: channels in and out, and the other attributes.
        cells: by row and column; ``None`` where the space has no such op.
        bounds_ms: of the steps of heat, ascending; one fewer than there are steps.
    """

    kind: str
    height: int
    width: int
    columns: tuple[Column, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    bounds_ms: tuple[float, ...]

    @property
    def slowest_ms(self) -> float:
        """The largest latency of a cell; 0 where none is known."""
        cells = (cell for row in self.cells for cell in row if cell is not None)
        return max((cell.latency_ms or 0.0 for cell in cells), default=0.0)

    @property
    def unit(self) -> str:
        """What the latencies are written in, all of one map in the same."""
        return "us" if self.slowest_ms < 1 else "ms"

    def text(self, cell: Cell) -> str:
        """The latency of a cell in :attr:`unit`; empty where it is not known."""
        if cell.latency_ms is None:
            return ""
        value = cell.latency_ms * (1e3 if self.unit == "us" else 1)
        return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"

    def step(self, cell: Cell) -> int | None:
        """Which step of heat a cell has, from 0; ``None`` where its latency is not known."""
        if cell.latency_ms is None:
            return None
        return sum(cell.latency_ms > bound for bound in self.bounds_ms)

    def figure(self) -> Figure:
        """A heat map."""
        figure = new_figure(_width(len(self.columns)), _height(self))
        draw_map(self, figure.subplots())
        return figure


@dataclass(frozen=True)
class TableMaps(Drawn):
    """Everything of one table that one space asks for.

    Attributes:
        target: of the table.
        space: whose ops they are.
        maps: one a kind and resolution, largest resolution first.
        measured: how many ops of the space are measured.
        regressed: how many only a regressor could answer for.
        missing: how many nothing could.
        networks: how many whole networks of the space are measured.
        command: what measures the rest; empty where there is none.
    """

    target: str
    space: str
    maps: tuple[LatencyMap, ...]
    measured: int
    regressed: int
    missing: int
    networks: int
    command: str

    @property
    def total(self) -> int:
        """Number of ops of the space."""
        return self.measured + self.regressed + self.missing

    def figure(self) -> Figure:
        """All maps, one below the other."""
        heights = [_height(each) for each in self.maps]
        rows = [len(each.rows) for each in self.maps]
        widest = max((len(each.columns) for each in self.maps), default=1)
        figure = new_figure(_width(widest), sum(heights) or 1.0)
        if self.maps:
            grid = figure.subplots(len(self.maps), 1, squeeze=False, height_ratios=rows)
            for each, axes in zip(self.maps, grid[:, 0], strict=True):
                draw_map(each, axes, widest)
        return figure


def table_maps(runs: Sequence[Run], evidence: Mapping[str, Evidence]) -> list[TableMaps]:
    """The maps of every table that some searches were made with, for each space they searched.

    Args:
        runs: the searches.
        evidence: of their targets; without a table there is no map.
    """
    wanted = dict.fromkeys((str(run.result.load_target()), run.space.name) for run in runs)
    spaces = {run.space.name: run.space for run in runs}
    found = []
    for target, name in wanted:
        of = evidence.get(target)
        if of is None or of.table is None:
            continue
        space = spaces[name]
        coverage = cover(of.table, Target.parse(target), space)
        why = dict(coverage.missing)
        regressed = set(coverage.regressed)
        cells = {spec: _cell(spec, of.table, of, regressed, why) for spec in space.all_ops()}
        found.append(
            TableMaps(
                target,
                name,
                tuple(latency_maps(cells)),
                len(coverage.measured),
                len(coverage.regressed),
                len(coverage.missing),
                coverage.networks,
                coverage.command,
            )
        )
    return found


def _cell(
    spec: OpSpec,
    table: LatencyTable,
    evidence: Evidence,
    regressed: set[str],
    why: Mapping[str, str],
) -> Cell:
    if spec in table.ops:
        latency_ms, error = table.ops[spec], table.relative_error(spec)
        known = math.isfinite(error)
        row = evidence.by_key.get(spec.key)
        return Cell(
            spec.key,
            "measured",
            latency_ms,
            latency_ms * (1 - error) if known else None,
            latency_ms * (1 + error) if known else None,
            findings_of(row.findings if row else None),
        )
    if spec.key in evidence.failures:
        return Cell(spec.key, "failed", why=evidence.failures[spec.key])
    if spec.key in regressed:
        return Cell(spec.key, "regressed", why="not measured; a regressor answers for it")
    return Cell(spec.key, "missing", why=why.get(spec.key, ""))


def findings_of(text: str | None) -> tuple[str, ...] | None:
    """Names of the rules that object to a row; ``None`` where none was asked."""
    if not text:
        return None
    return () if text == SOUND else tuple(text.split())


def latency_maps(cells: Mapping[OpSpec, Cell]) -> list[LatencyMap]:
    """The maps of some ops, one a kind and resolution, largest resolution first.

    Ops without a kernel size, or of vectors, are in none.
    """
    groups: dict[tuple[str, int, int], list[OpSpec]] = {}
    for spec in cells:
        if len(spec.input_shape) == 3 and "kernel" in dict(spec.attributes):
            groups.setdefault((spec.kind, *spec.input_shape[1:]), []).append(spec)
    drawn = (cells[spec].latency_ms for group in groups.values() for spec in group)
    bounds = _bounds([latency_ms for latency_ms in drawn if latency_ms is not None])
    ordered = sorted(groups, key=lambda of: (of[0], -of[1], -of[2]))
    return [_map(*group, groups[group], cells, bounds) for group in ordered]


def _bounds(values: Sequence[float]) -> tuple[float, ...]:
    """Bounds of the steps of heat: equal ratios from the fastest to the slowest."""
    if not values or min(values) <= 0:
        return ()
    low, steps = min(values), len(HEAT)
    ratio = max(values) / low
    return tuple(low * ratio ** (i / steps) for i in range(1, steps))


def _map(
    kind: str,
    height: int,
    width: int,
    specs: Sequence[OpSpec],
    cells: Mapping[OpSpec, Cell],
    bounds: tuple[float, ...],
) -> LatencyMap:
    varied = _varied(specs)
    placed: dict[tuple[tuple[int, ...], str], dict[Column, Cell]] = {}
    for spec in specs:
        attributes = dict(spec.attributes)
        expand = spec.integer("expand") if "expand" in attributes else None
        column = Column(spec.integer("kernel"), expand)
        placed.setdefault(_row(spec, varied), {})[column] = cells[spec]
    columns = sorted(
        {column for row in placed.values() for column in row},
        key=lambda column: (column.kernel, column.expand or 0),
    )
    rows = sorted(placed)
    return LatencyMap(
        kind,
        height,
        width,
        tuple(columns),
        tuple(label for _, label in rows),
        tuple(tuple(placed[row].get(column) for column in columns) for row in rows),
        bounds,
    )


def _varied(specs: Sequence[OpSpec]) -> set[str]:
    """Names of the attributes that tell these ops apart, but for those that have a place."""
    values: dict[str, set[int | str]] = {}
    for spec in specs:
        for name, value in spec.attributes:
            values.setdefault(name, set()).add(value)
    placed = {"kernel", "expand", "out", "stride"}
    return {name for name, of in values.items() if len(of) > 1 and name not in placed}


def _row(spec: OpSpec, varied: set[str]) -> tuple[tuple[int, ...], str]:
    """What a row is sorted by, and what it is called: ``16 to 32, stride 2``."""
    channels, out = spec.input_shape[0], spec.output_shape[0]
    stride = spec.integer("stride") if "stride" in dict(spec.attributes) else 1
    label = f"{channels} to {out}"
    if stride != 1:
        label += f", stride {stride}"
    for name in sorted(varied):
        label += f", {name} {spec[name]}"
    return (channels, out, stride), label


def _width(columns: int) -> float:
    return 0.75 * columns + 2.2


def _height(given: LatencyMap) -> float:
    return 0.34 * len(given.rows) + 0.75


def draw_map(given: LatencyMap, axes: Axes, columns: int | None = None) -> None:
    """A heat map: darker is slower; hatched is not measured, an exclamation mark is doubtful.

    Args:
        given: what is drawn.
        axes: where.
        columns: how many there is room for, at least those of the map.
    """
    from matplotlib.patches import Rectangle

    size = f"{given.height}x{given.width}"
    title = f"{given.kind} on {size}: latency in {given.unit}, channels by kernel"
    style(axes, title, "", "")
    axes.grid(visible=False)
    for i, row in enumerate(given.cells):
        for j, cell in enumerate(row):
            if cell is None:
                continue
            step = given.step(cell)
            color = light("page") if step is None else HEAT[step][LIGHT]
            hatch = "////" if step is None else None
            axes.add_patch(
                Rectangle((j, i), 0.96, 0.94, facecolor=color, edgecolor=light("line"), hatch=hatch)
            )
            if step is None:
                continue
            text = given.text(cell) + (" !" if cell.is_doubtful else "")
            ink = HEAT_TEXT[step][LIGHT]
            axes.text(j + 0.48, i + 0.47, text, ha="center", va="center", fontsize=7, color=ink)
    axes.set_xlim(0, columns or len(given.columns))
    axes.set_ylim(len(given.rows), 0)
    axes.set_xticks([j + 0.48 for j in range(len(given.columns))], [str(c) for c in given.columns])
    axes.set_yticks([i + 0.47 for i in range(len(given.rows))], given.rows)
