"""``lutier search proxyless``."""

from __future__ import annotations

from typing import Any

import rich_click as click

from lutier.cli.search_common import given, make_request, search_options, show_result


@click.command(
    epilog=(
        "Example: [bold]lutier search proxyless --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --seed 1 --out runs/first[/bold]"
    )
)
@search_options
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
    settings, request = make_request(as_json, **common)
    from dataclasses import replace

    from lutier.searching_proxyless import parse_also, search_proxyless
    from search.proxyless_config import ProxylessConfig

    request = replace(request, also=tuple(map(parse_also, also)))

    config = given(
        ProxylessConfig(gradient=gradient, checkpoint_activations=checkpoint_activations),
        warmup_epochs=warmup_epochs,
        search_epochs=search_epochs,
        loss=loss,
        entropy_weight=entropy_weight,
    )
    show_result(request, search_proxyless(settings, request, config), as_json)
