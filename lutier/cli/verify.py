"""``lutier verify``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lutier.cli.options import db_option, json_option, seed_option


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
@json_option
def verify(folder: Path, ops: bool, seed: int | None, db: str | None, as_json: bool) -> None:
    """Measure the network in FOLDER again, and say whether it is within its budget.

    Exits with 5 where it is not.
    """
    from dataclasses import asdict

    from devices.errors import BudgetError, MissingTableError
    from lutier.opening import open_measured
    from lutier.results import load_result, network_job
    from lutier.settings import load_settings
    from lutier.storage import open_store
    from lutier.terminal import out, percent, print_json
    from lutier.verification import describe_drift, time_ops, verify_network
    from profiler.table import LatencyTable
    from search.budget import format_ms

    settings = load_settings({"db": db, "seed": seed})
    result = load_result(folder)
    target = result.load_target()
    protocol = settings.protocol(target)
    specs = result.load_space().ops(result.load_architecture())
    with open_measured(settings, target) as device, open_store(settings) as store:
        environment = device.environment(target)
        try:
            table = LatencyTable.load(store, target)
        except MissingTableError:
            table = None
        job = network_job(folder, result)
        verified = verify_network(
            job, specs, device, target, protocol, table, result.budget_ms, settings.seed
        )
        op_times = time_ops(job, device, target) if ops else ()
    summary = verified.summary
    within = summary.median_ms <= result.budget_ms
    same_table = None if table is None else table.digest == result.details.get("table_digest")
    if as_json:
        print_json(
            {
                "architecture": result.architecture,
                "target": result.target,
                "environment_id": environment.id,
                "same_environment": environment.id == result.environment_id,
                "same_table": same_table,
                "budget_ms": result.budget_ms,
                "predicted_ms": result.predicted_ms,
                "measured_before_ms": result.measured_ms,
                "measured_ms": summary.median_ms,
                "measured_interval_ms": [summary.ci_low_ms, summary.ci_high_ms],
                "split_half_error": summary.split_half,
                "drift": verified.drift,
                "within_budget": within,
                "op_times": [asdict(each) for each in op_times],
            }
        )
    else:
        out.print(
            f"{result.architecture}\n"
            f"measured {format_ms(summary.median_ms)}"
            f" [{format_ms(summary.ci_low_ms)}, {format_ms(summary.ci_high_ms)}],"
            f" predicted {format_ms(result.predicted_ms)}, budget {format_ms(result.budget_ms)}:"
            f" {'within the budget' if within else 'OVER the budget'}",
            markup=False,
        )
        if change := describe_drift(verified.drift):
            out.print(change)
        for each in sorted(op_times, key=lambda each: -each.avg_ms):
            out.print(f"  {format_ms(each.avg_ms):>10s}  {each.node_type}", markup=False)
        if environment.id != result.environment_id:
            out.print(f"the environment has changed since the search ({result.environment_id})")
        if same_table is False:
            out.print(
                "the table has changed since the search that predicted this;"
                f" lutier fit --target '{result.target}' takes the new figures in",
                markup=False,
            )
    if not within:
        over = summary.median_ms / result.budget_ms - 1
        raise BudgetError(
            f"measured {format_ms(summary.median_ms)}, budget {format_ms(result.budget_ms)}",
            f"{percent(over)} over",
            "lutier profile into a new --db and search again, or a quieter machine",
        )
