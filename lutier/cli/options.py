"""Options that several commands share."""

from __future__ import annotations

import rich_click as click

from lutier.cli.completers import complete_space, complete_target


def hush(context: click.Context) -> None:
    """Keep text off standard output and progress off standard error until the command ends."""
    from lutier.terminal import out

    out.quiet = True
    context.call_on_close(lambda: setattr(out, "quiet", False))


def _hush_if_asked(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        hush(context)


quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_hush_if_asked,
    help="Print warnings and errors only.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)
db_option = click.option(
    "--db",
    metavar="URL",
    help="Database of measurements, e.g. sqlite:///lutier.db. [dim]Also: LUTIER_DB.[/dim]",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Seed of everything drawn at random. [dim]\\[default: 0][/dim]",
)
target_option = click.option(
    "--target",
    required=True,
    metavar="TARGET",
    help="What to predict for, e.g. cpu/onnxruntime?threads=1.",
    shell_complete=complete_target,
)
space_option = click.option(
    "--space",
    "space_name",
    required=True,
    metavar="SPACE",
    help="Search space, e.g. mobile-tiny or 'mobile?resolution=96&classes=10'.",
    shell_complete=complete_space,
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 6 where the measurements are too noisy to trust."
)
