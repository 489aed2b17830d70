"""``lutier plot``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from lutier.cli.options import db_option, json_option, quiet_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lutier.plots.drawing import Drawn
    from lutier.settings import Settings

KINDS = ("front", "predictions", "blocks", "history", "table")


@click.command(epilog="Example: [bold]lutier plot front runs/demo -o front.svg[/bold]")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument(
    "folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write, .svg, .png or .pdf. Of several figures the others get a number.",
)
@db_option
@quiet_option
@json_option
def plot(kind: str, folders: tuple[Path, ...], output: Path, db: str | None, as_json: bool) -> None:
    """Draw the results in folders to a file.

    \b
    front        accuracy over measured latency, with budgets and intervals
    predictions  predicted against measured latency, with the noise floor
    blocks       where the milliseconds of each network found go
    history      how each search went
    table        maps of the latency table
    """
    # A name that cannot be written is said before anything slow is imported.
    from lutier.plots.drawing import checked_format, save_figure

    checked_format(output)
    from devices.errors import MissingTableError
    from lutier.settings import load_settings
    from lutier.terminal import out, print_json

    figures = _figures(kind, folders, load_settings({"db": db}), db)
    if not figures:
        raise MissingTableError(
            f"nothing to draw of kind {kind} in {', '.join(map(str, folders))}",
            "the results do not say, and no latency table of their targets was found",
            "--db URL of the database that was searched with",
        )
    written = []
    for number, drawn in enumerate(figures, 1):
        path = output if number == 1 else output.with_stem(f"{output.stem}-{number}")
        save_figure(drawn.figure(), path)
        written.append(str(path))
        if not as_json:
            out.print(f"wrote {path}", markup=False)
    if as_json:
        print_json({"kind": kind, "files": written})


def _figures(
    kind: str, folders: Sequence[Path], settings: Settings, db: str | None
) -> Sequence[Drawn]:
    from lutier.plots.blocks import break_down
    from lutier.plots.evidence import gather_evidence
    from lutier.plots.front import fronts
    from lutier.plots.history import histories
    from lutier.plots.latency_map import table_maps
    from lutier.plots.predictions import predictions
    from lutier.plots.runs import find_runs
    from lutier.terminal import err

    runs = find_runs(folders)
    if kind == "front":
        return fronts(runs)
    if kind == "history":
        return [each for each in histories(runs) if not each.is_empty]
    evidence = gather_evidence(runs, settings, folders, db)
    for each in evidence.values():
        for note in each.notes:
            err.print(f"note: {note}", style="yellow", markup=False)
    if kind == "predictions":
        return predictions(runs, evidence)
    if kind == "table":
        return table_maps(runs, evidence)
    found = [
        break_down(run.space, run.architecture, evidence[str(run.result.load_target())])
        for run in runs
    ]
    return [each for each in found if each.target]
