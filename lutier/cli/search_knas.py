"""``lutier search knas``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.completers import complete_score
from lutier.cli.search_common import budget_option, given, make_request, search_options, show_result
from lutier.cli.search_work import energy_options, make_meter, print_energy, worker_options

if TYPE_CHECKING:
    from lutier.results import SearchResult

DEFAULT_SCORE = "naswot+jacob_cov+flops"


@click.command(
    epilog=(
        "Example: [bold]lutier search knas --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --seed 1 --out runs/second[/bold]"
    )
)
@budget_option(required=True)
@search_options
@click.option(
    "--pool",
    metavar="N|all",
    help="Different networks within the budget to score. [dim]\\[default: 200][/dim]",
)
@click.option(
    "--k", type=click.IntRange(min=1), help="Networks to train. [dim]\\[default: 3][/dim]"
)
@click.option(
    "--score",
    default=DEFAULT_SCORE,
    show_default=True,
    metavar="NAME[+NAME...]",
    shell_complete=complete_score,
    help=(
        "What networks are ranked by: a proxy (docs/proxies.md), several by the sum of their ranks,"
        " or with * by the product; mgm is KNAS's own, random the control that it has to beat."
    ),
)
@click.option(
    "--score-batch",
    "proxy_batch_size",
    type=click.IntRange(min=2),
    help="Training images a network is scored on. [dim]\\[default: 32][/dim]",
)
@click.option(
    "--halving",
    metavar="EPOCH,...",
    help="Train the worse half of the finalists no longer than these epochs, e.g. 2,5.",
)
@worker_options
@energy_options
def knas(
    pool: str | None,
    k: int | None,
    score: str,
    proxy_batch_size: int | None,
    halving: str | None,
    workers: int,
    cluster: str | None,
    energy: bool,
    country: str | None,
    cpu_watts: float | None,
    as_json: bool,
    **common: Any,
) -> None:
    """KNAS: rank untrained networks by proxies, train the best few (Xu et al., ICML 2021)."""
    rungs = parse_halving(halving)
    size = parse_pool(pool)
    settings, request = make_request(as_json, **common)
    meter = make_meter(energy, country, cpu_watts)
    from lutier.energy import metered_search
    from lutier.searching_knas import search_knas
    from search.knas import KnasConfig
    from search.train_config import TrainConfig

    train = TrainConfig(epochs=request.train_epochs)
    config = given(
        KnasConfig(score=score, train=train, pool_size=size, k=min(k or 3, size or 3)),
        k=k,
        proxy_batch_size=proxy_batch_size,
        halving=rungs,
    )
    result = metered_search(
        request.folder,
        meter,
        lambda: search_knas(settings, request, config, workers=workers, cluster=cluster),
    )
    if not as_json:
        print_funnel(result)
        print_energy(result)
    show_result(request, result, as_json)


def parse_pool(text: str | None) -> int | None:
    """A number of networks, or nothing for ``all``.

    Raises:
        click.BadParameter: it is neither.
    """
    if text is None:
        return 200
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(
            f"{text!r} is neither a number from 1 nor all.", param_hint="--pool"
        )
    return int(text)


def parse_halving(text: str | None) -> tuple[int, ...]:
    """Epochs, separated by commas.

    Raises:
        click.BadParameter: something else is among them.
    """
    parts = [] if text is None else text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(
            f"{text!r} is not a list of epochs like 2,5.", param_hint="--halving"
        )
    return tuple(int(part) for part in parts)


def print_funnel(result: SearchResult) -> None:
    """A line for each step of the search: how many networks it left, and where the others went."""
    from lutier.terminal import out

    for name, left, gone in result.details["funnel"]["steps"]:
        out.print(f"{left:>15,}  {name}" + (f"; {gone}" if gone else ""), markup=False)
