"""``lutier fit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from lutier.cli.options import (
    db_option,
    json_option,
    quiet_option,
    seed_option,
    strict_option,
    target_option,
)

if TYPE_CHECKING:
    from lutier.modelling import SpaceModel
    from profiler.table import LatencyTable


@click.command(epilog="Example: [bold]lutier fit --target 'cpu/onnxruntime?threads=1'[/bold]")
@target_option
@click.option(
    "--calibration",
    type=click.IntRange(min=3),
    help="Networks to calibrate with; the others test the model."
    " [dim]\\[default: two thirds, at most 40][/dim]",
)
@seed_option
@strict_option
@db_option
@quiet_option
@json_option
def fit(
    target: str,
    calibration: int | None,
    seed: int | None,
    strict: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Fit the latency model of a target to its table, and test it on networks held out.

    One model for each space that the table has whole networks of: the table first, a regressor
    for ops that are not in it, and slope and intercept from a few measured networks.
    """
    from dataclasses import asdict

    from devices.errors import UntrustworthyError
    from devices.target import Target
    from lutier.modelling import fit_models
    from lutier.settings import load_settings
    from lutier.terminal import err, percent, print_json

    settings = load_settings({"db": db, "seed": seed})
    table, models = fit_models(settings, Target.parse(target), calibration)
    if as_json:
        print_json(
            {
                "target": table.target,
                "environment_id": table.environment_id,
                "table_digest": table.digest,
                "split_half_error": table.split_half_error,
                "trustworthy": table.is_trustworthy,
                "seed": settings.seed,
                "models": [
                    {
                        "space": model.space,
                        "folder": str(model.folder),
                        "evaluation": model.fitted.evaluation.to_dict(),
                        "uncalibrated": model.fitted.uncalibrated.to_dict(),
                        "calibration": model.fitted.calibration,
                        "held_out": model.fitted.held_out,
                        "terms": asdict(model.fitted.model.calibration),
                        "coverage_of_90": model.fitted.metadata.coverage,
                        "regressors": {
                            kind: {
                                "chosen": model.fitted.regressor_names[kind],
                                "held_out": [asdict(score) for score in scores],
                            }
                            for kind, scores in model.fitted.scores.items()
                        },
                    }
                    for model in models
                ],
            }
        )
    else:
        for model in models:
            print_model(table, model)
    if not table.is_trustworthy:
        trouble = UntrustworthyError(
            f"the split-half error of the table is {percent(table.split_half_error)}",
            "the measurements, not the model, are the limit",
            "end what else runs on the machine and measure into a new --db",
        )
        if strict:
            raise trouble
        err.print(f"warning: {trouble}", style="yellow", markup=False)


def print_model(table: LatencyTable, model: SpaceModel) -> None:
    """Say how good a fitted model is, for a person."""
    import math

    from lutier.terminal import out, percent

    fitted = model.fitted
    terms = fitted.model.calibration
    out.print(f"[bold]{model.space}[/bold] on {table.target}")
    out.print(
        f"  calibrated on {terms.networks} networks: {terms.slope:.3f} x sum of ops"
        f" {terms.constant_ms * 1e3:+.1f} us {terms.per_op_ms * 1e3:+.2f} us per op"
        f" {terms.per_megabyte_ms * 1e3:+.1f} us per MB of weights"
        f" {terms.crowding * 100:+.2f} % of the sum per MB"
    )
    for kernel in sorted(terms.kernel_ms):
        out.print(
            f"  {kernel}: {terms.kernel_ms[kernel] * 1e3:+.2f} us an op,"
            f" {terms.kernel_crowding[kernel] * 1e3:+.2f} us per MB of weights of the network"
        )
    factors = sorted(terms.op_factors.values())
    if factors:
        out.print(
            f"  factors of single ops: {factors[0]:.3f} to {factors[-1]:.3f},"
            f" median {factors[len(factors) // 2]:.3f}"
        )
    noise = percent(table.split_half_error_of("network"))
    for name, figures in (
        ("plain sum", fitted.uncalibrated),
        ("calibrated", fitted.evaluation),
    ):
        out.print(
            f"  {name:10s} on {figures.n} networks held out: MAPE {percent(figures.mape)},"
            f" within 5 % {percent(figures.within_5)}, within 10 %"
            f" {percent(figures.within_10)}, Spearman {figures.spearman:.3f}"
        )
    out.print(f"  noise floor (split-half error of the networks): {noise}")
    if fitted.metadata.coverage is not None:
        errors = fitted.model.errors
        out.print(
            f"  90 % interval: {percent(math.expm1(errors.radius(0.9)))} to either side;"
            f" {percent(fitted.metadata.coverage)} of the held-out networks were within theirs"
        )
    for kind, scores in fitted.scores.items():
        out.print(f"  regressor of {kind}: {fitted.regressor_names[kind]}; held out")
        for score in scores:
            refused = f", {score.refused} refused" if score.refused else ""
            out.print(
                f"    {score.held_out + ':':12s} median error {percent(score.median_error)},"
                f" within 10 % {percent(score.within_10)} (n {score.n}{refused})"
            )
