"""``lutier verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from lutier.cli.options import db_option, json_option, quiet_option, seed_option

if TYPE_CHECKING:
    from lutier.checking import Check


@click.command(epilog="Example: [bold]lutier verify runs/first[/bold]")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@seed_option
@click.option(
    "--ops",
    is_flag=True,
    help="Of a phone: also time each operation, or each kernel of the delegate, in a run of its"
    " own.",
)
@db_option
@quiet_option
@json_option
def verify(folder: Path, ops: bool, seed: int | None, db: str | None, as_json: bool) -> None:
    """Measure the network in FOLDER again, and say whether it is within its budget.

    Of a network that was searched for several targets, on each. Exits with 5 where it is over a
    budget.
    """
    from dataclasses import asdict

    from devices.errors import BudgetError
    from lutier.checking import time_ops_again, verify_result
    from lutier.results import load_result
    from lutier.settings import load_settings
    from lutier.terminal import out, percent, print_json
    from search.budget import format_ms

    settings = load_settings({"db": db, "seed": seed})
    result = load_result(folder)
    checks = verify_result(settings, folder, result)
    op_times = time_ops_again(settings, folder, result) if ops else ()
    if as_json:
        first, *others = (check.to_dict() for check in checks)
        times = [asdict(each) for each in op_times]
        print_json(
            {"architecture": result.architecture, **first, "op_times": times, "also": others}
        )
    else:
        out.print(result.architecture, markup=False)
        for check in checks:
            _print_check(check, named=len(checks) > 1)
        for each in sorted(op_times, key=lambda each: -each.avg_ms):
            out.print(f"  {format_ms(each.avg_ms):>10s}  {each.node_type}", markup=False)
    if missed := [check for check in checks if not check.is_within]:
        first_missed = missed[0]
        measured_ms = first_missed.verified.summary.median_ms
        over = measured_ms / first_missed.budget_ms - 1
        raise BudgetError(
            f"measured {format_ms(measured_ms)}, budget {format_ms(first_missed.budget_ms)}"
            + (f" on {first_missed.target}" if len(checks) > 1 else ""),
            f"{percent(over)} over",
            "lutier profile into a new --db and search again, or a quieter machine",
        )


def _print_check(check: Check, *, named: bool) -> None:
    """What was measured on one target."""
    from lutier.terminal import out
    from lutier.verification import describe_drift
    from search.budget import format_ms

    summary = check.verified.summary
    out.print(
        f"{f'{check.target}: ' if named else ''}measured {format_ms(summary.median_ms)}"
        f" [{format_ms(summary.ci_low_ms)}, {format_ms(summary.ci_high_ms)}],"
        f" predicted {format_ms(check.predicted_ms)}, budget {format_ms(check.budget_ms)}:"
        f" {'within the budget' if check.is_within else 'OVER the budget'}",
        markup=False,
    )
    if change := describe_drift(check.verified.drift):
        out.print(change)
    if not check.is_same_environment:
        out.print(f"the environment has changed since the search ({check.searched_environment_id})")
    if check.is_same_table is False:
        out.print(
            "the table has changed since the search that predicted this;"
            f" lutier fit --target '{check.target}' takes the new figures in",
            markup=False,
        )
