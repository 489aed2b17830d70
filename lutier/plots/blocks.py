"""Where the milliseconds of a network go: its blocks one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devices.errors import MissingEntryError, UntrustworthyError
from latency_models.composite import CompositeModel
from lutier.plots.drawing import Drawn, new_figure, plain, style
from lutier.plots.evidence import Evidence
from lutier.plots.palette import kernel_color, light
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.budget import format_ms
from search.spaces.base import ChainSpace, SearchSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Source = Literal["measured", "regressed", "free", "not known"]


@dataclass(frozen=True)
class Block:
    """One op of a network's chain, and what it takes.

    Attributes:
        place: ``stem``, ``block`` or ``head`` of a chain, ``op`` of any other network.
        number: from 1, within its place.
        label: in a few characters, ``MB6 5x5``.
        kernel: size of its kernel, where it has one.
        key: of the op.
        input_shape: without the batch.
        output_shape: without the batch.
        widest: channels of its widest layer.
        flops: floating-point operations.
        parameters: trainable ones.
        latency_ms: in a network; ``None`` where nothing is known.
        low_ms: lower end of the interval; 95 % of a measured op, 90 % of a regressed one.
        high_ms: upper end.
        source: where the latency is from.
    """

    place: str
    number: int
    label: str
    kernel: int | None
    key: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    widest: int
    flops: int
    parameters: int
    latency_ms: float | None
    low_ms: float | None
    high_ms: float | None
    source: Source

    @property
    def name(self) -> str:
        """``stem 1``, ``block 3``."""
        return f"{self.place} {self.number}"


@dataclass(frozen=True)
class Breakdown(Drawn):
    """The blocks of a network in order, with what they take on one target.

    Attributes:
        architecture: id of the network.
        target: where the latencies are from; empty where there are none.
        blocks: in order of execution, skipped ones included.
    """

    architecture: str
    target: str
    blocks: tuple[Block, ...]

    @property
    def sum_ms(self) -> float | None:
        """What the ops add up to; ``None`` where one of them is not known."""
        values = [block.latency_ms for block in self.blocks]
        return None if None in values else math.fsum(v for v in values if v is not None)

    def share(self, block: Block) -> float | None:
        """What part of the sum a block takes."""
        total = self.sum_ms
        if total is None or block.latency_ms is None or not total:
            return None
        return block.latency_ms / total

    def figure(self) -> Figure:
        """A bar for each block."""
        figure = new_figure(max(6.0, 0.42 * len(self.blocks) + 1.5), 3.2)
        draw_blocks(self, figure.subplots())
        return figure


def break_down(
    space: SearchSpace, architecture: Architecture, evidence: Evidence | None = None
) -> Breakdown:
    """Tell the blocks of a network apart, with the latencies that a table or model has of them.

    Args:
        space: of the network.
        architecture: the network.
        evidence: of the target, where there is one.
    """
    ops = space.ops(architecture)
    latencies = _latencies(ops, space.name, evidence)
    found = []
    for spec, (place, number), (source, latency_ms, low_ms, high_ms) in zip(
        ops, _places(space, len(ops)), latencies, strict=True
    ):
        found.append(
            Block(
                place=place,
                number=number,
                label=describe_op(spec),
                kernel=_kernel(spec),
                key=spec.key,
                input_shape=spec.input_shape,
                output_shape=spec.output_shape,
                widest=_widest(spec),
                flops=spec.flops,
                parameters=spec.parameters,
                latency_ms=latency_ms,
                low_ms=low_ms,
                high_ms=high_ms,
                source=source,
            )
        )
    known = evidence is not None and evidence.table is not None
    return Breakdown(architecture.id, evidence.target if evidence and known else "", tuple(found))


def _places(space: SearchSpace, ops: int) -> list[tuple[str, int]]:
    """Where each op stands, and which one there it is, from 1."""
    if not isinstance(space, ChainSpace):
        return [("op", i) for i in range(1, ops + 1)]
    parts = {"stem": space.stem, "block": space.blocks, "head": space.head}
    return [(place, i) for place, part in parts.items() for i in range(1, len(part) + 1)]


def describe_op(spec: OpSpec) -> str:
    """An op in a few characters: ``MB6 5x5``, ``conv 3x3``, ``skip``."""
    attributes = dict(spec.attributes)
    kernel = f" {spec['kernel']}x{spec['kernel']}" if "kernel" in attributes else ""
    names = {"identity": "skip", "global_avg_pool": "pool", "depthwise_conv": "dw"}
    name = names.get(spec.kind, spec.kind.replace("_", " "))
    if spec.kind == "mbconv":
        name = f"MB{spec['expand']}"
    return name + kernel


def _kernel(spec: OpSpec) -> int | None:
    return spec.integer("kernel") if "kernel" in dict(spec.attributes) else None


def _widest(spec: OpSpec) -> int:
    channels = [spec.input_shape[0], spec.output_shape[0]]
    if spec.kind == "mbconv":
        channels.append(spec.input_shape[0] * spec.integer("expand"))
    return max(channels)


_Latency = tuple[Source, float | None, float | None, float | None]


def _latencies(ops: Sequence[OpSpec], space: str, evidence: Evidence | None) -> list[_Latency]:
    table = evidence.table if evidence else None
    model = evidence.models.get(space) if evidence else None
    composite = model[0].op_model if model else None
    found: list[_Latency] = []
    for spec in ops:
        if spec.is_free:
            found.append(("free", 0.0, None, None))
        elif table is not None and spec in table.ops:
            latency_ms, error = table.ops[spec], table.relative_error(spec)
            known = math.isfinite(error)
            low = latency_ms * (1 - error) if known else None
            high = latency_ms * (1 + error) if known else None
            found.append(("measured", latency_ms, low, high))
        elif table is not None and isinstance(composite, CompositeModel):
            found.append(_regressed(composite, spec))
        else:
            found.append(("not known", None, None, None))
    return found


def _regressed(model: CompositeModel, spec: OpSpec) -> _Latency:
    try:
        latency_ms = float(model.predict_ms([spec])[0])
    except MissingEntryError:
        return "not known", None, None, None
    try:
        low, high = (float(end) for end in model.interval_ms([spec])[0])
    except UntrustworthyError:
        return "regressed", latency_ms, None, None
    return "regressed", latency_ms, low, high


def draw_blocks(breakdown: Breakdown, axes: Axes) -> None:
    """A bar for each block: its latency with its interval, coloured by its kernel.

    Args:
        breakdown: what is drawn.
        axes: where.
    """
    blocks = breakdown.blocks
    values = [block.latency_ms or 0.0 for block in blocks]
    bars = axes.bar(
        range(len(blocks)),
        values,
        color=[light(kernel_color(block.kernel)) for block in blocks],
        width=0.72,
    )
    for bar, block, value in zip(bars, blocks, values, strict=True):
        if block.source == "regressed":
            bar.set_hatch("///")
            bar.set_edgecolor(light("page"))
        if block.low_ms is not None and block.high_ms is not None:
            middle = bar.get_x() + bar.get_width() / 2
            ends = [[max(value - block.low_ms, 0)], [max(block.high_ms - value, 0)]]
            axes.errorbar(middle, value, yerr=ends, color=light("text"), linewidth=1, capsize=2)
        if block.latency_ms is None:
            axes.annotate("?", (bar.get_x() + bar.get_width() / 2, 0), ha="center", va="bottom")
    names = [plain(f"{block.label}\n{_size(block)}") for block in blocks]
    axes.set_xticks(range(len(blocks)), names, rotation=60, ha="right", rotation_mode="anchor")
    total = breakdown.sum_ms
    said = f", {format_ms(total)} in all" if total is not None else ""
    style(axes, f"{breakdown.architecture}{said}", "", "latency in a network (ms)")
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", labelsize=7)


def _size(block: Block) -> str:
    return "x".join(map(str, block.output_shape))
