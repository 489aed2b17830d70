"""``lutier table export`` and ``lutier table import``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from lutier.cli.completers import complete_target
from lutier.cli.options import db_option, json_option, quiet_option

if TYPE_CHECKING:
    from profiler.exchange.report import ImportReport, Listed

OWN = ("csv", "parquet", "json")
YAML = ("proxylessnas", "once-for-all")
_SHOWN = 10


@click.command(
    "export",
    epilog=(
        "Example: [bold]lutier table export --target 'cpu/onnxruntime?threads=1' "
        "--format proxylessnas -o laptop.yaml[/bold]"
    ),
)
@click.option(
    "--target",
    required=True,
    metavar="TARGET",
    help="TARGET or TARGET@ENVIRONMENT_ID.",
    shell_complete=complete_target,
)
@click.option("--format", "file_format", type=click.Choice([*OWN, *YAML]), help="Of the file.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file.")
@db_option
@quiet_option
@json_option
def export_command(
    target: str, file_format: str | None, output: Path, db: str | None, as_json: bool
) -> None:
    """Write the table of a target to a file that Lutier or other tools read.

    CSV, Parquet and JSON are Lutier's own and hold everything, CSV but for the single runs. Without
    --format the file's suffix decides.
    """
    from devices.errors import InputError
    from lutier.settings import load_settings
    from lutier.tables import FORMATS, TableName, load_rows
    from lutier.terminal import out, print_json
    from profiler.exchange.exporting import export_table

    chosen = file_format or FORMATS.get(output.suffix.lower(), "")
    if file_format is None and chosen not in OWN:
        raise InputError(
            f"{output} does not say its format", hint=f"--format {' or '.join((*OWN, *YAML))}"
        )
    table, rows = load_rows(load_settings({"db": db}), TableName.parse(target))
    written = export_table(output, chosen, table.target, table.environment, rows)
    if as_json:
        print_json(
            {
                "file": str(output),
                "format": chosen,
                "target": table.target,
                "environment_id": table.environment_id,
                "derived": list(written.derived),
                "exported": written.count,
                "unmapped": [listed.to_dict() for listed in written.unmapped],
            }
        )
        return
    out.print(f"wrote {written.count} of {len(rows)} rows to {output}", markup=False)
    if written.derived:
        out.print(f"  {len(written.derived)} sums beside them, which the format's code asks for")
    print_listed("the format has no word for", written.unmapped)


@click.command(
    "import",
    epilog=(
        "Example: [bold]lutier table import mobile_trim.yaml --format proxylessnas "
        "--target 'pixel1/tflite?threads=1'[/bold]"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    required=True,
    type=click.Choice([*OWN, *YAML, "nasbench201", "fbnet"]),
    help="What the file is.",
)
@click.option(
    "--target",
    metavar="TARGET",
    help="What it was measured on, e.g. pixel1/tflite. Lutier's own formats say it themselves.",
)
@click.option(
    "--unit",
    type=click.Choice(["ms", "us", "s"]),
    help="Of the latencies, where it is not the format's own: us for fbnet's text, ms for others.",
)
@click.option("--column", metavar="NAME", help="Which device of a nasbench201 file.")
@db_option
@quiet_option
@json_option
def import_command(
    file: Path,
    file_format: str,
    target: str | None,
    unit: str | None,
    column: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Read a latency table that was made elsewhere into the store.

    Rows that cannot be used are counted and listed, with the reason; nothing is made up for them.
    """
    from devices.errors import InputError
    from devices.target import Target
    from lutier.settings import load_settings
    from lutier.storage import open_store
    from lutier.terminal import print_json
    from profiler.exchange.importing import import_table

    chosen = None if target is None else Target.parse(target)
    with open_store(load_settings({"db": db})) as store:
        report = import_table(store, file, file_format, target=chosen, unit=unit, column=column)
    if as_json:
        print_json(report.to_dict())
    else:
        print_report(report)
    if not report.imported and not report.already_stored:
        raise InputError(
            f"nothing of {report.file} could be imported",
            f"{len(report.rejected)} rows were rejected, {len(report.unmapped)} are not known here",
        )


def print_report(report: ImportReport) -> None:
    """Say what an import did, for a person."""
    from lutier.terminal import err, out

    stored = f", {report.already_stored} were stored already" if report.already_stored else ""
    out.print(
        f"imported {report.imported} rows of {report.file} ({report.format}, {report.unit}) as"
        f" {report.target}@{report.environment_id}{stored}",
        markup=False,
    )
    if report.derived:
        out.print(f"  left out {len(report.derived)} sums of other rows")
    print_listed("rejected", report.rejected)
    print_listed("not known here", report.unmapped)
    for note in report.notes:
        out.print(f"  note: {note}", markup=False)
    for suspicion in report.suspicious:
        err.print(f"warning: {suspicion}", style="yellow", markup=False)


def print_listed(word: str, rows: Sequence[Listed]) -> None:
    """A few of the rows that did not make it, and how many more there are."""
    from lutier.terminal import out

    if not rows:
        return
    out.print(f"  {word}: {len(rows)}", markup=False)
    for listed in rows[:_SHOWN]:
        out.print(f"    {listed.key}: {listed.reason}", markup=False)
    if len(rows) > _SHOWN:
        out.print(f"    and {len(rows) - _SHOWN} more; --json lists all")
