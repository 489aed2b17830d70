"""``lutier table``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lutier.cli.comparing import coverage, diff
from lutier.cli.completers import complete_target
from lutier.cli.exchange import export_command, import_command
from lutier.cli.options import db_option, json_option, quiet_option
from lutier.cli.pricing import price
from lutier.cli.profiling import describe_findings


@click.group(epilog="Example: [bold]lutier table show --target 'cpu/onnxruntime?threads=1'[/bold]")
def table() -> None:
    """Look at latency tables, take them elsewhere, and compare them."""


for _command in (coverage, diff, export_command, import_command, price):
    table.add_command(_command)


@table.command(
    epilog="Example: [bold]lutier table show --target 'cpu/onnxruntime?threads=1' --ops[/bold]"
)
@click.option(
    "--target",
    metavar="TARGET",
    help="Which table. Without it: which there are.",
    shell_complete=complete_target,
)
@click.option("--ops", "show_ops", is_flag=True, help="List every op with its interval.")
@db_option
@json_option
def show(target: str | None, show_ops: bool, db: str | None, as_json: bool) -> None:
    """Show the latency table of a target, or which tables there are."""
    from devices.target import Target
    from lutier.settings import load_settings
    from lutier.storage import open_store
    from lutier.terminal import out, percent, print_json
    from profiler.quality import SOUND
    from profiler.table import LatencyTable

    settings = load_settings({"db": db})
    with open_store(settings) as store:
        if target is None:
            targets = store.targets()
            if as_json:
                print_json({"targets": targets, "db": settings.shown_db})
                return
            for name, count in targets.items():
                out.print(f"{name}  {count} measurements", markup=False)
            if not targets:
                out.print("no latency table yet; make one with: lutier profile --space mobile-tiny")
            return
        latencies = LatencyTable.load(store, Target.parse(target))
    if as_json:
        print_json(latencies.to_dict())
        return
    out.print(latencies)
    facts = latencies.environment.to_dict()
    out.print(
        f"split-half error {percent(latencies.split_half_error)}, environment"
        f" {latencies.environment_id}: {facts.get('chip') or facts.get('imported', 'no facts')}",
        markup=False,
    )
    if latencies.carriers:
        out.print(
            f"ops are given as in a network, by {len(latencies.carriers)} networks that hold them"
        )
    if latencies.findings:
        out.print(f"doubtful: {describe_findings(latencies.findings)}", markup=False)
    if show_ops:
        rows = latencies.frame.sort_values("latency_ms")
        for row in rows.to_dict(orient="records"):
            scale = row["latency_ms"] / row["median_ms"]
            low, high = (float(row[name] or "nan") * scale for name in ("ci_low_ms", "ci_high_ms"))
            interval = f"[{low:.4f}, {high:.4f}]" if low <= high else "[not known]"
            doubts = row["findings"] if row["findings"] not in (None, SOUND) else ""
            out.print(
                f"{row['latency_ms']:10.4f} ms  {interval}  {row['key']}  {doubts}".rstrip(),
                markup=False,
            )


@table.command(
    epilog=(
        "Example: [bold]lutier table record --target 'cpu/onnxruntime?threads=1' "
        "-o laptop.json[/bold]"
    )
)
@click.option(
    "--target",
    required=True,
    metavar="TARGET",
    help="Which table.",
    shell_complete=complete_target,
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="JSON file.")
@db_option
@quiet_option
@json_option
def record(target: str, output: Path, db: str | None, as_json: bool) -> None:
    """Write all timings of a target to a file that replay:FILE answers from."""
    from devices.replay import write_recording
    from devices.target import Target
    from lutier.settings import load_settings
    from lutier.storage import open_store
    from lutier.terminal import out, print_json
    from profiler.table import LatencyTable

    wanted = Target.parse(target)
    with open_store(load_settings({"db": db})) as store:
        latencies = LatencyTable.load(store, wanted)
        samples = store.all_samples_ms(wanted, latencies.environment_id)
    write_recording(output, wanted, latencies.environment, samples)
    if as_json:
        print_json({"file": str(output), "target": str(wanted), "recorded": len(samples)})
        return
    out.print(f"recorded {len(samples)} ops and networks of {wanted} in {output}", markup=False)
