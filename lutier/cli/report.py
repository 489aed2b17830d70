"""``lutier report``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lutier.cli.options import db_option, json_option, quiet_option


@click.command(epilog="Example: [bold]lutier report runs/demo -o report.html[/bold]")
@click.argument(
    "folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@db_option
@quiet_option
@json_option
def report(folders: tuple[Path, ...], output: Path, db: str | None, as_json: bool) -> None:
    """Write the results in folders, and what they rest on, as one page for a browser.

    A DIR is what a search was given as --out, or a folder of such folders. The latency table comes
    from --db, or else from a lutier.db beside the results, or else from where it usually is.
    """
    from lutier.plots.drawing import write_output
    from lutier.plots.evidence import gather_evidence
    from lutier.plots.runs import find_runs
    from lutier.report.page import render_report
    from lutier.report.plot import require_plotly
    from lutier.settings import load_settings
    from lutier.terminal import err, out, print_json

    require_plotly()
    settings = load_settings({"db": db})
    runs = find_runs(folders)
    evidence = gather_evidence(runs, settings, folders, db)
    page = render_report(runs, evidence, settings, output.name)
    write_output(output, page)
    notes = [note for each in evidence.values() for note in each.notes]
    if as_json:
        print_json(
            {
                "output": str(output),
                "bytes": len(page.encode()),
                "runs": [run.name for run in runs],
                "notes": notes,
            }
        )
        return
    for note in notes:
        err.print(f"note: {note}", style="yellow", markup=False)
    results = f"{len(runs)} result" + ("s" if len(runs) > 1 else "")
    out.print(f"wrote {output} ({len(page.encode()) / 1e6:.1f} MB): {results}", markup=False)
