"""``lutier profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.completers import complete_device, complete_runtime, complete_space
from lutier.cli.farm import profile_every_phone
from lutier.cli.options import db_option, json_option, quiet_option, seed_option, strict_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devices.errors import DeviceError
    from devices.target import Target
    from lutier.settings import Settings
    from profiler.jobs import Job
    from profiler.run import ProfileResult
    from profiler.table import LatencyTable


@click.command(
    epilog=(
        "Example: [bold]lutier profile --device cpu --runtime onnxruntime --space mobile-tiny "
        "--threads 1[/bold]"
    )
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="cpu, cuda:N, android:SERIAL (android:all for every phone), ssh:HOST, replay:FILE, ...",
    shell_complete=complete_device,
)
@click.option(
    "--runtime",
    default="onnxruntime",
    show_default=True,
    help="onnxruntime, litert, torch, torch-compile",
    shell_complete=complete_runtime,
)
@click.option("--threads", default=1, show_default=True, help="Threads for one inference.")
@click.option("--batch", default=1, show_default=True, help="Samples in one inference.")
@click.option(
    "--option",
    "extra_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Further option of the target, such as precision=int8. Repeatable.",
)
@click.option(
    "--benchmark-model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of a phone, runtime litert: the benchmark_model for its processor."
    " [dim]Also: LUTIER_BENCHMARK_MODEL.[/dim]",
)
@click.option(
    "--delegate",
    type=click.Choice(["xnnpack", "none", "gpu", "nnapi", "hexagon"]),
    help="Of a phone, runtime litert: what the work is handed to. [dim]\\[default: xnnpack][/dim]",
)
@click.option(
    "--cores",
    metavar="big|little|prime|all|MASK",
    help="Of a phone: the cores it is measured on. [dim]\\[default: big][/dim]",
)
@click.option(
    "--space",
    "space_name",
    metavar="SPACE",
    help="Measure every op of this search space.",
    shell_complete=complete_space,
)
@click.option("--op", "op_keys", multiple=True, metavar="KEY", help="Measure this op. Repeatable.")
@click.option(
    "--model",
    "model_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Measure this network (.onnx; with litert .tflite) and its kernels, for lutier predict."
    " Repeatable.",
)
@click.option(
    "--networks",
    type=click.IntRange(min=0),
    help="Whole networks to measure among the ops, to calibrate and test with, beside those that"
    " show what ops take in a network; 0 for ops alone. [dim]\\[default: 60][/dim]",
)
@click.option(
    "--max-rounds",
    type=click.IntRange(min=12),
    help="Rounds at the most. [dim]\\[default: 300][/dim]",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop measuring after this time, quiet or not; 12 rounds are always made."
    " [dim]\\[default: 120][/dim]",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed before.")
@click.option(
    "--dry-run", is_flag=True, help="Say how much there is to measure and how long it will take."
)
@seed_option
@strict_option
@db_option
@quiet_option
@json_option
def profile(
    device: str,
    runtime: str,
    threads: int,
    batch: int,
    extra_options: tuple[str, ...],
    benchmark_model: Path | None,
    delegate: str | None,
    cores: str | None,
    space_name: str | None,
    op_keys: tuple[str, ...],
    model_files: tuple[Path, ...],
    networks: int | None,
    max_rounds: int | None,
    time_limit: float | None,
    retry_failed: bool,
    dry_run: bool,
    seed: int | None,
    strict: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Measure the ops of a search space into the latency table of a device.

    Every visit is stored as it is made. What is stored already is not measured again: after an
    interruption the same command goes on.
    """
    import time

    from devices.errors import InputError
    from devices.target import Target
    from lutier.opening import named_device
    from lutier.settings import load_settings

    if not space_name and not op_keys and not model_files:
        raise InputError(
            "nothing to measure", "neither a space nor an op or file was named", "--space SPACE"
        )
    settings = load_settings(
        {
            "db": db,
            "networks": networks,
            "max_rounds": max_rounds,
            "max_seconds": time_limit,
            "seed": seed,
            "benchmark_model": benchmark_model,
        }
    )
    if device == "android:all":
        profile_every_phone(dry_run=dry_run, as_json=as_json)
        return
    options = _target_options(extra_options)
    options |= {k: v for k, v in (("delegate", delegate), ("cores", cores)) if v is not None}
    target = Target.make(
        named_device(device), runtime, {"threads": threads, "batch": batch, **options}
    )
    if dry_run:
        jobs = _jobs(settings, space_name, op_keys)
        _dry_run(
            settings,
            target,
            jobs,
            space_name,
            model_files,
            retry_failed=retry_failed,
            as_json=as_json,
        )
        return
    start = time.monotonic()
    result, table = run_profile(
        settings, target, space_name, op_keys, model_files, retry_failed=retry_failed, quiet=as_json
    )
    seconds = time.monotonic() - start
    report = _report(settings, result, table, space_name, seconds)
    if as_json:
        from lutier.terminal import print_json

        print_json(report)
    else:
        _print(result, report)
    _check(result, report, strict)


def _dry_run(
    settings: Settings,
    target: Target,
    jobs: list[Job],
    space_name: str | None,
    model_files: tuple[Path, ...],
    *,
    retry_failed: bool,
    as_json: bool,
) -> None:
    from lutier.estimate import estimate
    from lutier.network_files import model_jobs
    from lutier.opening import open_measured
    from lutier.storage import open_store
    from lutier.terminal import duration, out, print_json
    from profiler.plan import make_plan

    protocol = settings.protocol(target)
    with open_measured(settings, target) as device, open_store(settings) as store:
        environment = device.environment(target)
        jobs = [*jobs, *model_jobs(model_files, device, target)]
        plan = make_plan(jobs, store, target, environment, protocol, retry_failed=retry_failed)
        ops = len({job.key for job in jobs if job.role == "op"})
        found = estimate(plan, ops, device, target, protocol)
    if as_json:
        print_json({"target": str(target), "space": space_name, **found.to_dict()})
        return
    out.print(
        f"{found.planned} to be measured on {target}: {found.ops} ops,"
        f" {found.planned - found.ops} whole networks and calls",
        markup=False,
    )
    failed = f", {found.failed} failed before" if found.failed else ""
    out.print(f"{found.stored} of them are stored already{failed}: {found.todo} are left")
    if found.todo:
        least, most = duration(found.least_seconds), duration(found.most_seconds)
        out.print(
            f"expected time: {least} on a quiet machine, {most} on a noisy one"
            f" ({protocol.min_rounds} rounds at the least; --time-limit {protocol.max_seconds:g})"
        )


def run_profile(
    settings: Settings,
    target: Target,
    space_name: str | None,
    op_keys: tuple[str, ...] = (),
    model_files: tuple[Path, ...] = (),
    *,
    retry_failed: bool = False,
    quiet: bool = False,
) -> tuple[ProfileResult, LatencyTable | None]:
    """Measure what the store lacks of a space's ops and networks, of single ops, and of files.

    Returns:
        What was done, and the table as it is now (``None`` where nothing could be measured).
    """
    from devices.errors import DeviceError
    from lutier.network_files import model_jobs
    from lutier.opening import open_measured
    from lutier.progress import ProfileBar
    from lutier.storage import open_store
    from profiler.run import profile as run
    from profiler.storage.schema import DONE
    from profiler.table import LatencyTable

    jobs = _jobs(settings, space_name, op_keys)
    protocol = settings.protocol(target)
    with open_measured(settings, target) as device, open_store(settings) as store:
        environment = device.environment(target)
        jobs += model_jobs(model_files, device, target)
        with ProfileBar(protocol, quiet=quiet) as bar:
            try:
                result = run(
                    jobs,
                    device,
                    target,
                    store,
                    protocol,
                    seed=settings.seed,
                    retry_failed=retry_failed,
                    on_event=bar,
                )
            except DeviceError as error:
                known = store.statuses(target, environment, protocol)
                finished = sum(known.get(key) == DONE for key in {job.key for job in jobs})
                planned = len({job.key for job in jobs})
                raise _with_what_is_stored(error, finished, planned, bar.visits) from error
        if result.planned == len(result.failed):
            return result, None
        return result, LatencyTable.load(store, target, result.environment.id)


def _with_what_is_stored(
    error: DeviceError, finished: int, planned: int, visits: int
) -> DeviceError:
    """The error of a device that was given up, with how much is stored and how to go on."""
    import shlex
    import sys

    again = shlex.join(["lutier", *sys.argv[1:]])
    why = f"{error.why}; " if error.why else ""
    return type(error)(
        error.what,
        f"{why}{finished} of {planned} are measured, and {visits} visits of this run are stored",
        f"{error.hint}; then: {again}" if "same command" not in error.hint else error.hint,
    )


def _target_options(pairs: tuple[str, ...]) -> dict[str, str]:
    from devices.errors import InputError

    options: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name in options:
            raise InputError(
                f"--option {pair[:80]!r}", "must be NAME=VALUE, each name once", "precision=int8"
            )
        options[name] = value
    return options


def _jobs(settings: Settings, space_name: str | None, op_keys: tuple[str, ...]) -> list[Job]:
    from lutier.networks import carrier_jobs, draw_networks, network_job, op_jobs
    from profiler.jobs import Job
    from profiler.ops import OpSpec
    from search.spaces.registry import open_space

    jobs = [Job.of_op(OpSpec.parse(key)) for key in op_keys]
    if space_name:
        space = open_space(space_name)
        jobs += op_jobs(space)
        if settings.networks:
            jobs += carrier_jobs(space, settings.seed)
        drawn = draw_networks(space, settings.networks, settings.seed)
        jobs += [network_job(space, architecture) for architecture in drawn]
    return jobs


def _report(
    settings: Settings,
    result: ProfileResult,
    table: LatencyTable | None,
    space_name: str | None,
    seconds: float,
) -> dict[str, Any]:
    import math

    unknown = math.nan
    return {
        "target": str(result.target),
        "space": space_name,
        "planned": result.planned,
        "stored_before": result.stored_before,
        "measured": len(result.measured),
        "failed": len(result.failed),
        "failures": result.failed,
        "split_half_error": table.split_half_error if table is not None else unknown,
        "split_half_error_ops": table.split_half_error_of("op") if table is not None else unknown,
        "split_half_error_networks": table.split_half_error_of("network")
        if table is not None
        else unknown,
        "trustworthy": table.is_trustworthy if table is not None else False,
        "findings": dict(table.findings) if table is not None else {},
        "doubtful": table.doubtful if table is not None else unknown,
        "table_ops": len(table) if table is not None else 0,
        "table_kernels": len(table.kernels) if table is not None else 0,
        "table_networks": len(table.networks) if table is not None else 0,
        "environment": result.environment.to_dict(),
        "environment_id": result.environment.id,
        "seconds": round(seconds, 2),
        "db": settings.shown_db,
        "seed": settings.seed,
    }


def _print(result: ProfileResult, report: dict[str, Any]) -> None:
    from lutier.terminal import out, percent

    if result.measured:
        out.print(
            f"measured {report['measured']} of {report['planned']} in {report['seconds']:.0f} s"
            f" ({report['stored_before']} were stored already)"
        )
    elif result.elsewhere:
        out.print(f"{len(result.elsewhere)} were measured by other processes meanwhile")
    elif not result.failed:
        out.print(f"nothing to measure: all {report['planned']} are stored already")
    out.print(
        f"latency table of {report['target']}: {report['table_ops']} ops,"
        f" {report['table_kernels']} kernels, {report['table_networks']} networks, split-half error"
        f" {percent(report['split_half_error'])} (ops {percent(report['split_half_error_ops'])},"
        f" networks {percent(report['split_half_error_networks'])})"
    )
    if report["findings"]:
        out.print(f"doubtful: {describe_findings(report['findings'])}", markup=False)
    if not result.failed:
        command = "fit" if report["table_ops"] else "predict FILE"
        out.print(f"next: lutier {command} --target '{report['target']}'", markup=False)


def describe_findings(findings: Mapping[str, int]) -> str:
    """What the rules of quality object to, and in how many rows."""
    from profiler.rules import explain

    return "; ".join(f"{count} {name} ({explain(name)})" for name, count in findings.items())


def _check(result: ProfileResult, report: dict[str, Any], strict: bool) -> None:
    from devices.errors import MeasurementError, UntrustworthyError
    from lutier.networks import summarise_failures
    from lutier.terminal import err, percent
    from profiler.quality import TRUST_LIMIT
    from profiler.rules import ROWS_LIMIT

    if result.failed:
        raise MeasurementError(
            f"{len(result.failed)} of {result.planned} could not be measured",
            summarise_failures(result.failed.items()),
            "the same command with --retry-failed",
        )
    if not report["trustworthy"]:
        if report["split_half_error"] <= TRUST_LIMIT:
            what = f"{percent(report['doubtful'])} of the figures are doubtful"
            why = f"{describe_findings(report['findings'])}; more than {percent(ROWS_LIMIT)} are so"
        else:
            what = f"the split-half error is {percent(report['split_half_error'])}"
            why = f"above {percent(TRUST_LIMIT)} no figure is to be trusted"
        trouble = UntrustworthyError(
            what, why, "end what else runs on the machine and measure into a new --db"
        )
        if strict:
            raise trouble
        err.print(f"warning: {trouble}", style="yellow", markup=False)
