"""``lutier search``."""

from __future__ import annotations

import rich_click as click

from lutier.cli.search_knas import knas
from lutier.cli.search_proxyless import proxyless
from lutier.cli.search_strategies import STRATEGIES


@click.group(
    epilog=(
        "Example: [bold]lutier search proxyless --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --out runs/first[/bold]"
    )
)
def search() -> None:
    """Search for the most accurate network within a latency budget."""


search.add_command(proxyless)
search.add_command(knas)
for _strategy in STRATEGIES:
    search.add_command(_strategy)
