"""Options of searches that train many networks: who works, and what energy that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from lutier.energy import Meter
    from lutier.results import SearchResult


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--workers`` and ``--cluster``."""
    command = click.option(
        "--cluster",
        metavar="ray://HOST:PORT",
        help="Score and train on all CPUs of a Ray cluster.",
    )(command)
    return click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Processes that score and train.",
    )(command)


def energy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--energy``, and what has to be known for it; :func:`make_meter` takes them."""
    for option in (
        click.option(
            "--cpu-watts",
            type=click.FloatRange(min=0, min_open=True),
            metavar="W",
            help="With --energy: power of the CPU at full load, where it is not known.",
        ),
        click.option(
            "--country",
            metavar="CODE",
            help="With --energy: whose electricity it is, e.g. DEU; gives CO2e.",
        ),
        click.option(
            "--energy", is_flag=True, help="Say what energy the search took, by CodeCarbon."
        ),
    ):
        command = option(command)
    return command


def make_meter(energy: bool, country: str | None, cpu_watts: float | None) -> Meter | None:
    """What counts energy, where that was asked for.

    Raises:
        click.UsageError: details of energy that was not asked for.
        LutierError: as :class:`lutier.energy.Meter` does.
    """
    if not energy:
        if country is not None or cpu_watts is not None:
            raise click.UsageError("--country and --cpu-watts are for --energy. Add that.")
        return None
    from lutier.energy import Meter

    return Meter(country, cpu_watts)


def print_energy(result: SearchResult) -> None:
    """Say what energy a search took, where that was counted."""
    if "energy" not in result.details:
        return
    from lutier.energy import Energy
    from lutier.terminal import out

    for line in Energy.model_validate(result.details["energy"]).lines():
        out.print(line, markup=False)
