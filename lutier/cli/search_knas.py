"""``lutier search knas``."""

from __future__ import annotations

from typing import Any

import rich_click as click

from lutier.cli.search_common import given, make_request, search_options, show_result


@click.command(
    epilog=(
        "Example: [bold]lutier search knas --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --seed 1 --out runs/second[/bold]"
    )
)
@search_options
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
    settings, request = make_request(as_json, **common)
    from lutier.searching_knas import search_knas
    from search.knas import KnasConfig

    config = given(KnasConfig(score=score), pool_size=pool, k=k)
    show_result(request, search_knas(settings, request, config), as_json)
