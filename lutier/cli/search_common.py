"""What the kinds of ``lutier search`` share: options, the request, and how a result is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from lutier.cli.options import (
    db_option,
    json_option,
    quiet_option,
    seed_option,
    space_option,
    target_option,
)
from lutier.cli.training import data_option, training_config, training_options

if TYPE_CHECKING:
    from lutier.results import SearchResult
    from lutier.searching import Request
    from lutier.settings import Settings
    from search.knas import KnasConfig
    from search.proxyless_config import ProxylessConfig

    Config = TypeVar("Config", ProxylessConfig, KnasConfig)


def budget_option(*, required: bool) -> Callable[..., Any]:
    """The latency budget; it need not be given where there is another way to give it."""
    return click.option(
        "--budget", required=required, metavar="TIME", help="Latency budget, e.g. 1.5ms or 800us."
    )


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every kind of search, but for the budget."""
    options: list[Callable[..., Any]] = [
        target_option,
        space_option,
        data_option,
        click.option(
            "--confidence",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            metavar="P",
            help="Predict so that the budget holds with this probability, e.g. 0.9.",
        ),
        click.option(
            "--out",
            "folder",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for the result. An interrupted search goes on from it.",
        ),
        training_options,
        seed_option,
        db_option,
        quiet_option,
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def given(config: Config, **changes: Any) -> Config:
    """The configuration, with what was typed."""
    from dataclasses import replace

    return replace(config, **{key: value for key, value in changes.items() if value is not None})


def make_request(
    as_json: bool,
    target: str,
    space_name: str,
    data: str,
    budget: str,
    confidence: float | None,
    folder: Path,
    train_epochs: int,
    seed: int | None,
    db: str | None,
    track: str | None,
    **training: Any,
) -> tuple[Settings, Request]:
    """Settings, and what is searched for, by what was typed.

    Raises:
        LutierError: a value that cannot be read.
    """
    # What was typed is checked before anything slow is imported.
    from search.budget import parse_budget

    budget_ms = parse_budget(budget)
    from devices.target import Target
    from lutier.searching import Request
    from lutier.settings import load_settings
    from lutier.tracking import check_tracking

    check_tracking(track)
    settings = load_settings({"db": db, "seed": seed})
    request = Request(
        target=Target.parse(target),
        space=space_name,
        data=data,
        budget_ms=budget_ms,
        seed=settings.seed,
        folder=folder,
        train_epochs=train_epochs,
        quiet=as_json,
        confidence=confidence,
        training=training_config(**training),
        track=track,
    )
    return settings, request


def show_result(request: Request, result: SearchResult, as_json: bool) -> None:
    """Print a result, and what to type next."""
    from lutier.results import RESULT_FILE
    from lutier.terminal import out, print_json

    if as_json:
        print_json({**result.model_dump(), "out": str(request.folder)})
        return
    print_result(result)
    out.print(f"result in {request.folder / RESULT_FILE}", markup=False)
    out.print(f"next: lutier export {request.folder} --format onnx -o network.onnx", markup=False)


def print_result(result: SearchResult) -> None:
    """Say what a search found, for a person."""
    from lutier.terminal import out, percent
    from lutier.verification import describe_drift
    from search.budget import format_ms

    low_ms, high_ms = result.measured_interval_ms
    out.print(f"[bold]{result.method}[/bold] found {result.architecture}")
    out.print(
        f"  accuracy {percent(result.accuracy)} (test), {percent(result.validation_accuracy)}"
        f" (validation)\n"
        f"  measured {format_ms(result.measured_ms)} [{format_ms(low_ms)}, {format_ms(high_ms)}],"
        f" predicted {format_ms(result.predicted_ms)}, budget {format_ms(result.budget_ms)}:"
        f" {'within the budget' if result.is_within_budget else 'OVER the budget'}",
        markup=False,
    )
    for other in result.details.get("also", ()):
        out.print(
            f"  on {other['target']}: measured {format_ms(other['measured_ms'])}, predicted"
            f" {format_ms(other['predicted_ms'])}, budget {format_ms(other['budget_ms'])}",
            markup=False,
        )
    if result.drift is not None and (change := describe_drift(result.drift)):
        out.print(f"  {change}")
