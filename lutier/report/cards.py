"""The networks that the page shows one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lutier.plots.blocks import Breakdown, break_down
from lutier.plots.chain import glyph
from lutier.plots.evidence import Evidence
from lutier.plots.runs import Run
from lutier.report.figures import block_plot
from lutier.report.plot import Plot
from search.architecture import Architecture


@dataclass(frozen=True)
class Card:
    """One network on one target.

    Attributes:
        id: of its element in the page.
        target: that the latencies are of.
        breakdown: its blocks.
        glyphs: a drawing of each.
        roles: what it was in which search, a phrase each.
        is_result: whether a search found it.
        plot: where its milliseconds go; of results only, and where latencies are known.
    """

    id: str
    target: str
    breakdown: Breakdown
    glyphs: tuple[Markup, ...]
    roles: tuple[str, ...]
    is_result: bool
    plot: Plot | None

    @property
    def architecture(self) -> str:
        """Id of the network."""
        return self.breakdown.architecture

    @property
    def flops(self) -> int:
        """Floating-point operations of one sample."""
        return sum(block.flops for block in self.breakdown.blocks)

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(block.parameters for block in self.breakdown.blocks)


def cards(runs: Sequence[Run], evidence: Mapping[str, Evidence]) -> list[Card]:
    """Every network that a search found, trained or tried; what was found comes first."""
    roles: dict[tuple[str, str], list[str]] = {}
    spaces = {run.space.name: run.space for run in runs}
    results = {(str(run.result.load_target()), run.architecture.id) for run in runs}

    def note(run: Run, architecture: str, role: str) -> None:
        # As the space writes it, so that one network has one card.
        known = run.space.check(Architecture.parse(architecture)).id
        said = roles.setdefault((str(run.result.load_target()), known), [])
        is_found = f"found by {run.name}" in said
        if role not in said and not is_found:
            said.append(role)

    for run in runs:
        note(run, run.architecture.id, f"found by {run.name}")
    for run in runs:
        for each in run.details.finalists:
            note(run, each.architecture, f"finalist of {run.name}, {each.status}")
        for tried in run.details.rounds:
            note(run, tried.architecture, f"measured by {run.name} on its way")
    made = []
    for number, ((target, id_), said) in enumerate(roles.items(), 1):
        architecture = Architecture.parse(id_)
        breakdown = break_down(spaces[architecture.space], architecture, evidence.get(target))
        widest = max(block.widest for block in breakdown.blocks)
        is_result = (target, id_) in results
        drawn = is_result and breakdown.target
        made.append(
            Card(
                f"network-{number}",
                target,
                breakdown,
                tuple(glyph(block, widest) for block in breakdown.blocks),
                tuple(said),
                is_result,
                block_plot(breakdown, f"plot-blocks-{number}") if drawn else None,
            )
        )
    return made
