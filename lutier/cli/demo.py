"""``lutier demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click import get_current_context

from lutier.cli.options import hush, json_option, quiet_option, seed_option

if TYPE_CHECKING:
    from latency_models.evaluate import Evaluation
    from lutier.modelling import SpaceModel
    from lutier.results import SearchResult
    from profiler.table import LatencyTable

SPACE = "mobile-tiny"
TARGET = "cpu/onnxruntime?threads=1"


@click.command(epilog="Example: [bold]lutier demo --out runs/demo[/bold]")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for the database, the models and the results.",
)
@seed_option
@quiet_option
@json_option
def demo(folder: Path, seed: int | None, as_json: bool) -> None:
    """The main job from end to end on this machine's CPU, in a few minutes.

    Measures the ops of a small search space, fits the latency model, tests it on networks that it
    has not seen, searches with ProxylessNAS and with KNAS under one budget, and measures what they
    found.
    """
    import time

    from devices.errors import BudgetError
    from devices.target import Target
    from lutier.cli.profiling import run_profile
    from lutier.cli.search_common import print_result
    from lutier.modelling import fit_models
    from lutier.searching import Request
    from lutier.searching_knas import search_knas
    from lutier.searching_proxyless import search_proxyless
    from lutier.settings import load_settings
    from lutier.terminal import out, print_json
    from search.budget import format_ms
    from search.knas import KnasConfig
    from search.proxyless_config import ProxylessConfig

    if as_json:
        hush(get_current_context())
    start = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    settings = load_settings(
        {
            "db": f"sqlite:///{folder / 'lutier.db'}",
            "seed": seed,
            "networks": 55,
            "max_seconds": 25.0,
        }
    )
    target = Target.parse(TARGET)
    out.print(f"[bold]1 of 4[/bold]  measuring the ops of {SPACE} on {TARGET}")
    _, table = run_profile(settings, target, SPACE)
    if table is None:
        raise AssertionError("a profile without failures has a table")
    _print_table(table)
    out.print("[bold]2 of 4[/bold]  fitting the latency model")
    table, models = fit_models(settings, target, calibration=20)
    model = next(model for model in models if model.space == SPACE)
    evaluation = _print_model(table, model)
    budget_ms = _budget_ms(table)
    out.print(f"        budget for the searches: {format_ms(budget_ms)}")
    results: list[SearchResult] = []
    for number, method in ((3, "proxyless"), (4, "knas")):
        out.print(f"[bold]{number} of 4[/bold]  searching with {method}")
        request = Request(
            target=target,
            space=SPACE,
            data="digits",
            budget_ms=budget_ms,
            seed=settings.seed,
            folder=folder / method,
            train_epochs=8,
        )
        if method == "proxyless":
            results.append(search_proxyless(settings, request, ProxylessConfig()))
        else:
            results.append(search_knas(settings, request, KnasConfig()))
        print_result(results[-1])
    seconds = time.monotonic() - start
    _print_summary(folder, table, evaluation, results, seconds)
    if as_json:
        print_json(_document(folder, table, evaluation, results, seconds))
    over = [result.method for result in results if not result.is_within_budget]
    if over:
        raise BudgetError(f"over the budget when measured: {', '.join(over)}")


def _document(
    folder: Path,
    table: LatencyTable,
    evaluation: Evaluation,
    results: list[SearchResult],
    seconds: float,
) -> dict[str, Any]:
    return {
        "target": table.target,
        "environment": table.environment.to_dict(),
        "ops": len(table),
        "networks": len(table.networks),
        "split_half_error": table.split_half_error,
        "evaluation": evaluation.to_dict(),
        "results": [
            {
                "method": result.method,
                "out": str(folder / result.method),
                "architecture": result.architecture,
                "accuracy": result.accuracy,
                "predicted_ms": result.predicted_ms,
                "measured_ms": result.measured_ms,
                "budget_ms": result.budget_ms,
                "within_budget": result.is_within_budget,
            }
            for result in results
        ],
        "seconds": round(seconds, 2),
    }


def _budget_ms(table: LatencyTable) -> float:
    """The 40th percentile of the measured networks, to two digits: neither idle nor hopeless."""
    ordered = sorted(table.networks.values())
    latency_ms = ordered[int(0.4 * len(ordered))]
    return float(f"{latency_ms:.2g}")


def _print_table(table: LatencyTable) -> None:
    from lutier.terminal import out, percent

    out.print(
        f"        latency table: {len(table)} ops and {len(table.networks)} whole networks,"
        f" split-half error {percent(table.split_half_error)}"
        f" (ops {percent(table.split_half_error_of('op'))},"
        f" networks {percent(table.split_half_error_of('network'))})"
    )


def _print_model(table: LatencyTable, model: SpaceModel) -> Evaluation:
    from lutier.terminal import out, percent

    evaluation = model.fitted.evaluation
    out.print(
        f"        on {evaluation.n} networks it has never seen: MAPE {percent(evaluation.mape)},"
        f" within 5 % {percent(evaluation.within_5)}, Spearman {evaluation.spearman:.3f};"
        f" noise floor {percent(table.split_half_error_of('network'))}"
    )
    return evaluation


def _print_summary(
    folder: Path,
    table: LatencyTable,
    evaluation: Evaluation,
    results: list[SearchResult],
    seconds: float,
) -> None:
    from rich.table import Table

    from lutier.terminal import out, percent
    from search.budget import format_ms

    out.print()
    out.print(f"[bold]{table.target}[/bold], {table.environment.to_dict()['chip']}")
    out.print(f"table       {len(table)} ops, split-half error {percent(table.split_half_error)}")
    out.print(
        f"model       MAPE {percent(evaluation.mape)} on {evaluation.n} unseen networks,"
        f" noise floor {percent(table.split_half_error_of('network'))}"
    )
    summary = Table(box=None, pad_edge=False)
    for column in ("search", "accuracy", "predicted", "measured", "budget", ""):
        summary.add_column(column, justify="left" if column in ("search", "") else "right")
    for result in results:
        summary.add_row(
            result.method,
            percent(result.accuracy),
            format_ms(result.predicted_ms),
            format_ms(result.measured_ms),
            format_ms(result.budget_ms),
            "within the budget" if result.is_within_budget else "OVER the budget",
        )
    out.print(summary)
    out.print(
        f"artefacts   {folder}/proxyless, {folder}/knas (result.json, weights.pt);"
        f" database {folder}/lutier.db",
        markup=False,
    )
    out.print(f"took        {seconds:.0f} s")
    out.print(
        f"next        lutier export {folder}/proxyless --format onnx -o network.onnx", markup=False
    )
