"""Options that several commands share."""

from __future__ import annotations

import rich_click as click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)
db_option = click.option(
    "--db",
    metavar="URL",
    help="Database of measurements, e.g. sqlite:///lutier.db. [dim]Also: LUTIER_DB.[/dim]",
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of everything drawn at random. [dim]0[/dim]"
)
target_option = click.option(
    "--target",
    required=True,
    metavar="TARGET",
    help="What to predict for, e.g. cpu/onnxruntime?threads=1.",
)
space_option = click.option(
    "--space",
    "space_name",
    required=True,
    metavar="SPACE",
    help="Search space, e.g. mobile-tiny or 'mobile?resolution=96&classes=10'.",
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 6 where the measurements are too noisy to trust."
)
