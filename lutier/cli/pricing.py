"""``lutier table price``."""

from __future__ import annotations

import rich_click as click

from lutier.cli.completers import complete_network, complete_target
from lutier.cli.options import db_option, json_option


@click.command(
    epilog=(
        "Example: [bold]lutier table price --target mobile_trim.yaml proxyless-mobile"
        " mobilenet-v2[/bold]"
    )
)
@click.option(
    "--target",
    required=True,
    metavar="TARGET",
    help="TARGET, TARGET@ENVIRONMENT_ID, or a file that holds a table.",
    shell_complete=complete_target,
)
@click.argument(
    "networks",
    nargs=-1,
    required=True,
    metavar="NETWORK...",
    shell_complete=complete_network,
)
@db_option
@json_option
def price(target: str, networks: tuple[str, ...], db: str | None, as_json: bool) -> None:
    """Add up what a table says of the ops of networks.

    NETWORK is a name (lutier spaces lists them), an id, SPACE:CODE, or a file of lutier spaces -o
    or of a search. The sum is calibrated on nothing: lutier predict says what a whole network of a
    measured space takes. An op that the table lacks is named, and the command exits with 3.
    """
    from lutier.architecture_files import find_architecture
    from lutier.settings import load_settings
    from lutier.table_prices import price_by_table
    from lutier.tables import find_table, spelling_of
    from lutier.terminal import out, print_json

    wanted = [find_architecture(text) for text in networks]
    settings = load_settings({"db": db})
    table = find_table(settings, target)
    spelling = spelling_of(settings, target)
    prices = [price_by_table(table, architecture, spelling) for architecture in wanted]
    if as_json:
        print_json(
            {
                "target": table.target,
                "environment_id": table.environment_id,
                "networks": [
                    {
                        "network": text,
                        "architecture": each.architecture.id,
                        "sum_ms": each.latency_ms,
                        "ops": each.ops,
                    }
                    for text, each in zip(networks, prices, strict=True)
                ],
            }
        )
        return
    for text, each in zip(networks, prices, strict=True):
        out.print(f"{each.latency_ms:10.4f} ms  sum of {each.ops} ops  {text}", markup=False)
