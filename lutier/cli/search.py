"""``lutier search``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from lutier.cli.options import (
    db_option,
    json_option,
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


@click.group(
    epilog=(
        "Example: [bold]lutier search proxyless --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --out runs/first[/bold]"
    )
)
def search() -> None:
    """Search for the most accurate network within a latency budget."""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every kind of search."""
    options: list[Callable[..., Any]] = [
        target_option,
        space_option,
        data_option,
        click.option(
            "--budget", required=True, metavar="TIME", help="Latency budget, e.g. 1.5ms or 800us."
        ),
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
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@search.command(
    epilog=(
        "Example: [bold]lutier search proxyless --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --seed 1 --out runs/first[/bold]"
    )
)
@_common
@click.option("--warmup-epochs", type=click.IntRange(min=0), help="Epochs of weights only.")
@click.option("--search-epochs", type=click.IntRange(min=1), help="Epochs of weights and choices.")
@click.option(
    "--loss",
    type=click.Choice(["lagrangian", "add#hinge", "mul#log", "add#linear"]),
    help="How latency enters the loss: lagrangian and add#hinge are ours, the others are the"
    " paper's. [dim]lagrangian[/dim]",
)
@click.option(
    "--gradient",
    type=click.Choice(["two", "full", "recompute", "reinforce"]),
    default="two",
    show_default=True,
    help="How choices are trained: two candidates of each block at a time; all; all, one by one in"
    " less memory; or by the reward of whole networks.",
)
@click.option(
    "--entropy-weight",
    type=click.FloatRange(min=0),
    metavar="W",
    help="Press for clear choices, from 0 at the start of the search to W at its end. [dim]0[/dim]",
)
@click.option(
    "--checkpoint-activations",
    is_flag=True,
    help="Make activations again instead of keeping them: less memory, more time.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="TARGET=TIME",
    help="A further target and the budget on it. May be given more than once.",
)
def proxyless(
    warmup_epochs: int | None,
    search_epochs: int | None,
    loss: str | None,
    gradient: str,
    entropy_weight: float | None,
    checkpoint_activations: bool,
    also: tuple[str, ...],
    as_json: bool,
    **common: Any,
) -> None:
    """ProxylessNAS: train a supernet and its choices together (Cai, Zhu, Han, ICLR 2019)."""
    if loss is not None and gradient == "reinforce":
        raise click.UsageError(
            f"--loss {loss} has no meaning with --gradient reinforce, which has a reward instead."
            " Leave one of them out."
        )
    settings, request = _request(as_json, **common)
    from dataclasses import replace

    from lutier.searching_proxyless import parse_also, search_proxyless
    from search.proxyless_config import ProxylessConfig

    request = replace(request, also=tuple(map(parse_also, also)))

    config = _given(
        ProxylessConfig(gradient=gradient, checkpoint_activations=checkpoint_activations),
        warmup_epochs=warmup_epochs,
        search_epochs=search_epochs,
        loss=loss,
        entropy_weight=entropy_weight,
    )
    _show(request, search_proxyless(settings, request, config), as_json)


@search.command(
    epilog=(
        "Example: [bold]lutier search knas --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --seed 1 --out runs/second[/bold]"
    )
)
@_common
@click.option("--pool", type=click.IntRange(min=1), help="Networks within the budget to score.")
@click.option("--k", type=click.IntRange(min=1), help="Networks to train.")
@click.option(
    "--score",
    type=click.Choice(["mgm", "random"]),
    default="mgm",
    show_default=True,
    help="mgm: mean of the Gram matrix of gradients; random: the control it has to beat.",
)
def knas(pool: int | None, k: int | None, score: str, as_json: bool, **common: Any) -> None:
    """KNAS: score networks by their gradients, train the best few (Xu et al., ICML 2021)."""
    settings, request = _request(as_json, **common)
    from lutier.searching import search_knas
    from search.knas import KnasConfig

    config = _given(KnasConfig(score=score), pool_size=pool, k=k)
    _show(request, search_knas(settings, request, config), as_json)


def _given(config: Config, **changes: Any) -> Config:
    """The configuration, with what was typed."""
    from dataclasses import replace

    return replace(config, **{key: value for key, value in changes.items() if value is not None})


def _request(
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


def _show(request: Request, result: SearchResult, as_json: bool) -> None:
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
