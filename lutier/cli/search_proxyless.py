"""``lutier search proxyless``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.search_common import budget_option, given, make_request, search_options, show_result
from lutier.cli.search_work import energy_options, make_meter, print_energy

if TYPE_CHECKING:
    from lutier.energy import Meter
    from lutier.searching import Request
    from lutier.settings import Settings
    from lutier.sweeping import Sweep
    from search.proxyless_config import ProxylessConfig
    from search.team import Team


@click.command(
    epilog=(
        "Example: [bold]lutier search proxyless --target 'cpu/onnxruntime?threads=1' "
        "--space mobile-tiny --data digits --budget 0.3ms --seed 1 --out runs/first[/bold]"
    )
)
@budget_option(required=False)
@click.option(
    "--budgets",
    metavar="TIME,TIME,...",
    help="Several budgets, e.g. 5ms,8ms,12ms, searched one after the other from one warm-up.",
)
@search_options
@click.option("--warmup-epochs", type=click.IntRange(min=0), help="Epochs of weights only.")
@click.option("--search-epochs", type=click.IntRange(min=1), help="Epochs of weights and choices.")
@click.option(
    "--search-batch",
    type=click.IntRange(min=1),
    help="Images a step of the supernet. [dim]\\[default: 32][/dim]",
)
@click.option(
    "--search-rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Learning rate of the supernet, at its peak. [dim]\\[default: 0.2][/dim]",
)
@click.option(
    "--search-augment",
    default="none",
    show_default=True,
    metavar="WHAT",
    help="What is done to images of the supernet, as --augment; default: what suits the data.",
)
@click.option(
    "--loss",
    type=click.Choice(["lagrangian", "add#hinge", "mul#log", "add#linear"]),
    help="How latency enters the loss: lagrangian and add#hinge are ours, the others are the"
    " paper's. [dim]\\[default: lagrangian][/dim]",
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
    help="Press for clear choices, from 0 at the start of the search to W at its end."
    " [dim]\\[default: 0][/dim]",
)
@click.option(
    "--checkpoint-activations",
    is_flag=True,
    help="Make activations again instead of keeping them: less memory, more time.",
)
@click.option(
    "--finalists",
    type=click.IntRange(min=1),
    help="Networks within the budget to compare by short trainings, instead of taking the"
    " likeliest. [dim]\\[default: 1][/dim]",
)
@click.option(
    "--finalist-epochs",
    type=click.IntRange(min=1),
    help="Epochs of those short trainings. [dim]\\[default: 3][/dim]",
)
@click.option(
    "--also",
    multiple=True,
    metavar="TARGET=TIME",
    help="A further target and the budget on it. May be given more than once.",
)
@energy_options
def proxyless(
    budget: str | None,
    budgets: str | None,
    warmup_epochs: int | None,
    search_epochs: int | None,
    search_batch: int | None,
    search_rate: float | None,
    search_augment: str,
    loss: str | None,
    gradient: str,
    entropy_weight: float | None,
    checkpoint_activations: bool,
    finalists: int | None,
    finalist_epochs: int | None,
    also: tuple[str, ...],
    energy: bool,
    country: str | None,
    cpu_watts: float | None,
    as_json: bool,
    **common: Any,
) -> None:
    """ProxylessNAS: train a supernet and its choices together (Cai, Zhu, Han, ICLR 2019).

    Several processes train one supernet when torchrun starts the command; --train-device cuda then
    gives each its own GPU.
    """
    if loss is not None and gradient == "reinforce":
        raise click.UsageError(
            f"--loss {loss} has no meaning with --gradient reinforce, which has a reward instead."
            " Leave one of them out."
        )
    if (budget is None) == (budgets is None):
        raise click.UsageError("Give one of --budget, e.g. 1.5ms, and --budgets, e.g. 5ms,8ms.")
    given_budget = budget or str(budgets).partition(",")[0]
    settings, request = make_request(as_json, budget=given_budget, **common)
    meter = make_meter(energy, country, cpu_watts)
    from dataclasses import replace

    from lutier.searching_proxyless import parse_also
    from search.augment import Augmentation
    from search.proxyless_config import ProxylessConfig
    from search.team import device_of_rank, team_of_torchrun

    device = device_of_rank(request.training.device)
    training = replace(request.training, device=device)
    request = replace(request, also=tuple(map(parse_also, also)), training=training)
    config = given(
        ProxylessConfig(
            gradient=gradient,
            checkpoint_activations=checkpoint_activations,
            augmentation=Augmentation.parse(search_augment),
        ),
        warmup_epochs=warmup_epochs,
        search_epochs=search_epochs,
        batch_size=search_batch,
        learning_rate=search_rate,
        loss=loss,
        entropy_weight=entropy_weight,
        finalists=finalists,
        finalist_epochs=finalist_epochs,
    )
    with team_of_torchrun(device) as team:
        if budgets is None:
            _search_one(settings, request, config, team, meter, as_json)
        else:
            _search_several(settings, request, config, budgets, team, meter, as_json)


def _search_one(
    settings: Settings,
    request: Request,
    config: ProxylessConfig,
    team: Team,
    meter: Meter | None,
    as_json: bool,
) -> None:
    from lutier.energy import metered_search
    from lutier.searching_proxyless import help_search, search_proxyless

    if not team.is_first:
        help_search(settings, request, config, team=team)
        return
    found = metered_search(
        request.folder, meter, lambda: search_proxyless(settings, request, config, team=team)
    )
    if not as_json:
        print_energy(found)
    show_result(request, found, as_json)


def _search_several(
    settings: Settings,
    request: Request,
    config: ProxylessConfig,
    budgets: str,
    team: Team,
    meter: Meter | None,
    as_json: bool,
) -> None:
    from devices.errors import BudgetError
    from lutier.energy import load_energy, metered
    from lutier.sweeping import SWEEP_FILE, parse_budgets, sweep_proxyless
    from lutier.terminal import out, print_json
    from search.budget import format_ms

    with metered(request.folder, meter if team.is_first else None):
        sweep = sweep_proxyless(settings, request, config, parse_budgets(budgets), team=team)
    if not team.is_first:
        return
    energy = None if meter is None else load_energy(request.folder)
    if as_json:
        counted = {} if energy is None else {"energy": energy.model_dump()}
        print_json({**sweep.model_dump(), **counted, "out": str(request.folder)})
    else:
        for line in () if energy is None else energy.lines():
            out.print(line, markup=False)
        _print_sweep(sweep)
        out.print(f"results in {request.folder / SWEEP_FILE} and a folder each", markup=False)
        best = next((point.folder for point in sweep.points[::-1] if point.on_front), None)
        if best is not None:
            out.print(
                f"next: lutier export {request.folder / best} --format onnx -o network.onnx",
                markup=False,
            )
    if sweep.missed:
        raise BudgetError(
            f"no network met {' or '.join(format_ms(one.budget_ms) for one in sweep.missed)}",
            sweep.missed[0].why,
        )


def _print_sweep(sweep: Sweep) -> None:
    """A line a budget; a star is on the front of accuracy and latency."""
    from lutier.terminal import out, percent
    from search.budget import format_ms

    out.print("     budget   measured  predicted  accuracy  network")
    for point in sweep.points:
        out.print(
            f"{'*' if point.on_front else ' '} {format_ms(point.budget_ms):>9s}"
            f"  {format_ms(point.measured_ms):>9s}  {format_ms(point.predicted_ms):>9s}"
            f"  {percent(point.accuracy):>8s}  {point.architecture}",
            markup=False,
        )
    for missed in sweep.missed:
        out.print(f"  {format_ms(missed.budget_ms):>9s}  missed", markup=False)
    out.print("* no other network here is both as fast and as accurate")
