"""``lutier transfer``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.completers import complete_target
from lutier.cli.options import db_option, json_option, seed_option

if TYPE_CHECKING:
    from lutier.transferring import Prediction, Suggestion

_SHOWN = 10


@click.command(
    epilog=(
        "Example: [bold]lutier transfer latencies.csv --measured measured.csv "
        "-o predicted.csv[/bold]"
    )
)
@click.argument("reference", required=False, type=click.Path(path_type=Path))
@click.option(
    "--suggest",
    type=click.IntRange(min=1),
    help="How many to measure: print which. [dim]\\[default: 10, where nothing was measured][/dim]",
)
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What was measured on the new device, in the format of REFERENCE: predict the rest.",
)
@click.option("--column", metavar="NAME", help="Which column of --measured, if it has several.")
@click.option(
    "--known",
    multiple=True,
    metavar="NAME",
    help="Column of REFERENCE to use. Repeatable. [dim]\\[default: all][/dim]",
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="TARGET",
    help="Ops instead of networks: the table of a known target (or a file). Repeatable.",
    shell_complete=complete_target,
)
@click.option(
    "--to",
    "target",
    metavar="TARGET",
    help="Of the new device; a few of its ops are measured.",
    shell_complete=complete_target,
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Share of measurements that the intervals hold.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CSV or Parquet to write.")
@seed_option
@db_option
@json_option
def transfer(
    reference: Path | None,
    suggest: int | None,
    measured: Path | None,
    column: str | None,
    known: tuple[str, ...],
    sources: tuple[str, ...],
    target: str | None,
    coverage: float,
    output: Path | None,
    seed: int | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Predict a new device from known ones and about ten measurements of it.

    REFERENCE is CSV or Parquet: a column of architectures (arch, or the first one), and one of
    latencies in ms for each known device. First ask which architectures to measure, then give
    what was measured and get all others, with intervals. With --from and --to the same is done
    for the ops of latency tables.
    """
    from devices.errors import InputError
    from lutier.latency_files import check_suffix, write_frame
    from lutier.settings import load_settings
    from lutier.terminal import print_json
    from lutier.transferring import Suggestion, transfer_networks, transfer_ops

    if (reference is None) == (not sources):
        raise InputError(
            "what is known is either a file of networks or tables of ops",
            "one of REFERENCE and --from is needed" if reference is None else "both were given",
            "lutier transfer latencies.csv, or lutier transfer --from TARGET --to TARGET",
        )
    foreign = {
        "--to": reference is not None and target is not None,
        "--measured": bool(sources) and measured is not None,
        "--known": bool(sources) and bool(known),
        "--column": measured is None and column is not None,
    }
    for option, is_foreign in foreign.items():
        if is_foreign:
            with_what = {"--to": "--from", "--column": "--measured"}.get(option, "REFERENCE")
            raise InputError(f"{option} goes with {with_what}")
    if suggest is not None and (measured is not None or target is not None):
        raise InputError("--suggest is asked before anything is measured", hint="leave it out")
    if output is not None:
        check_suffix(output)
    settings = load_settings({"db": db, "seed": seed})
    if reference is not None:
        result = transfer_networks(
            reference, known, measured, column, suggest, coverage, settings.seed
        )
    else:
        result = transfer_ops(settings, sources, target, suggest, coverage)
    if output is not None:
        write_frame(output, result.frame)
    if as_json:
        print_json(_with_file(result.to_dict(), output))
    elif isinstance(result, Suggestion):
        print_suggestion(result, output)
    else:
        print_prediction(result, output)


def _with_file(document: dict[str, Any], output: Path | None) -> dict[str, Any]:
    return document if output is None else {**document, "file": str(output)}


def print_suggestion(suggestion: Suggestion, output: Path | None) -> None:
    """Which to measure, one a line, and how to go on."""
    from lutier.terminal import err, out

    for name in suggestion.names:
        out.print(name, markup=False)
    _warn(suggestion.warnings)
    if output is not None:
        err.print(f"wrote {output}: fill in the column latency_ms", markup=False)
    err.print(f"next: {suggestion.next_command}", markup=False)


def print_prediction(prediction: Prediction, output: Path | None) -> None:
    """How many were predicted, how well that can be expected to work, and the first of them."""
    from lutier.terminal import err, out, percent

    frame = prediction.frame
    width = ((frame["upper_ms"] - frame["lower_ms"]) / frame["predicted_ms"] / 2).median()
    out.print(
        f"predicted {len(frame)} {prediction.noun} from {prediction.measured} measured ones and"
        f" {len(prediction.known)} known devices; {percent(prediction.coverage)} intervals are"
        f" +-{percent(float(width))} wide (median)",
        markup=False,
    )
    if not math.isnan(prediction.expected_error):
        out.print(
            "  known devices, each predicted by the others in the same way: median error"
            f" {percent(prediction.expected_error)}"
        )
    if output is not None:
        out.print(f"  written to {output}", markup=False)
    else:
        for name, row in frame.head(_SHOWN).iterrows():
            out.print(
                f"  {row['predicted_ms']:.4g} ms ({row['lower_ms']:.4g} to"
                f" {row['upper_ms']:.4g})  {name}",
                markup=False,
            )
        if len(frame) > _SHOWN:
            out.print(f"  and {len(frame) - _SHOWN} more; -o predicted.csv writes all")
    _warn(prediction.warnings)
    if prediction.set_aside:
        err.print(
            "warning: set aside, as no measurement like it explains it:"
            f" {', '.join(prediction.set_aside[:_SHOWN])}",
            style="yellow",
            markup=False,
        )


def _warn(warnings: tuple[str, ...]) -> None:
    from lutier.terminal import err

    for warning in warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False)
