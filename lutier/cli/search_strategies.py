"""``lutier search random``, ``evolution`` and the other strategies, which share their options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.search_common import budget_option, make_request, search_options, show_result
from lutier.cli.search_work import energy_options, make_meter, print_energy

if TYPE_CHECKING:
    from lutier.results import SearchResult
    from search.strategies import Strategy


@dataclass(frozen=True)
class Kind:
    """One strategy on the command line.

    Attributes:
        name: of the command.
        strategy: its class in :mod:`search.strategies`.
        help: what it does, in a line.
        options: of its own, which are the class's arguments.
    """

    name: str
    strategy: str
    help: str
    options: tuple[Callable[..., Any], ...] = ()

    def make(self, **given: Any) -> Strategy:
        """The strategy, with what was typed."""
        import search.strategies

        kind: type[Strategy] = getattr(search.strategies, self.strategy)
        if "sample" in given and given["sample"] is None and given["population"] is not None:
            given["sample"] = given["population"] // 2
        return kind(**{name: value for name, value in given.items() if value is not None})


_POPULATION = click.option(
    "--population",
    type=click.IntRange(min=2),
    help="Networks alive at a time. [dim]\\[default: 16][/dim]",
)

KINDS = (
    Kind(
        "random",
        "RandomSearch",
        "Random search: uniform draws from the networks within the budget (the one to beat).",
    ),
    Kind(
        "evolution",
        "RegularizedEvolution",
        "Regularised evolution: children of the best of a few (Real et al., AAAI 2019).",
        (
            _POPULATION,
            click.option(
                "--sample",
                type=click.IntRange(min=1),
                help="Networks of which the best is a parent. [dim]\\[default: half of them][/dim]",
            ),
        ),
    ),
    Kind(
        "local",
        "LocalSearch",
        "Local search: to a better neighbour while there is one (White et al., UAI 2021).",
        (
            click.option(
                "--steepest",
                is_flag=True,
                help="Evaluate all neighbours before going to the best.",
            ),
        ),
    ),
    Kind(
        "reinforce",
        "Reinforce",
        "REINFORCE: choices that did well become likelier (Williams, 1992).",
        (
            click.option(
                "--rate",
                type=click.FloatRange(min=0, min_open=True),
                help="Step of the logits. [dim]\\[default: 0.3][/dim]",
            ),
        ),
    ),
    Kind(
        "predictor",
        "PredictorSearch",
        "Predictor: evaluate what a regression expects most of (White et al., AAAI 2021).",
        (
            click.option(
                "--model",
                type=click.Choice(["ridge", "gp"]),
                help="Bayesian ridge, or a Gaussian process. [dim]\\[default: ridge][/dim]",
            ),
            click.option(
                "--initial",
                type=click.IntRange(min=1),
                help="Random networks at first. [dim]\\[default: 12][/dim]",
            ),
        ),
    ),
    Kind(
        "nsga2",
        "Nsga2",
        "NSGA-II: the whole front of accuracy and latency below the budget (Deb et al., 2002).",
        (_POPULATION,),
    ),
    Kind(
        "tpe",
        "TpeSearch",
        "Tree-structured Parzen estimators, by Optuna (extra search; Bergstra et al., 2011).",
        (
            click.option(
                "--initial",
                type=click.IntRange(min=1),
                help="Random networks at first. [dim]\\[default: 10][/dim]",
            ),
        ),
    ),
)


def make_command(kind: Kind) -> click.Command:
    """The command of one strategy."""

    def run(
        evaluations: int,
        seconds: float | None,
        evaluation_epochs: int,
        energy: bool,
        country: str | None,
        cpu_watts: float | None,
        as_json: bool,
        **given: Any,
    ) -> None:
        own = {name: given.pop(name) for name in names}
        settings, request = make_request(as_json, **given)
        meter = make_meter(energy, country, cpu_watts)
        from lutier.energy import metered_search
        from lutier.searching_strategy import StrategyConfig, search_strategy

        config = StrategyConfig(kind.make(**own), evaluations, evaluation_epochs, seconds)
        result = metered_search(
            request.folder, meter, lambda: search_strategy(settings, request, config)
        )
        if not as_json:
            print_evaluations(result, with_front=kind.name == "nsga2")
            print_energy(result)
        show_result(request, result, as_json)

    command: Any = run
    for option in reversed(kind.options):
        command = option(command)
    names = [parameter.name for parameter in getattr(command, "__click_params__", ())]
    command = energy_options(command)
    for option in reversed(
        (
            click.option(
                "--evaluations",
                type=click.IntRange(min=1),
                default=40,
                show_default=True,
                help="Networks to evaluate, each by a short training.",
            ),
            click.option(
                "--seconds",
                type=click.FloatRange(min=0, min_open=True),
                metavar="S",
                help="Begin no evaluation once all took this long.",
            ),
            click.option(
                "--evaluation-epochs",
                type=click.IntRange(min=1),
                default=2,
                show_default=True,
                help="Epochs of that training.",
            ),
        )
    ):
        command = option(command)
    command = budget_option(required=True)(search_options(command))
    made: click.Command = click.command(
        kind.name,
        help=kind.help,
        epilog=(
            f"Example: [bold]lutier search {kind.name} --target 'cpu/onnxruntime?threads=1' "
            "--space mobile-tiny --data digits --budget 0.3ms --evaluations 30"
            f" --out runs/{kind.name}[/bold]"
        ),
    )(command)
    return made


STRATEGIES = tuple(map(make_command, KINDS))


def print_evaluations(result: SearchResult, *, with_front: bool) -> None:
    """Say what was evaluated and what was not, and draw up the front."""
    from lutier.terminal import out, percent
    from search.budget import format_ms

    details = result.details
    rows = details["evaluations"]
    failed = sum(row["value"] is None for row in rows)
    line = f"{len(rows)} networks evaluated" + (f", {failed} failed" if failed else "")
    if details["stop"] != "evaluations":
        line += {"seconds": "; the time was over", "nothing left": "; there are no others"}[
            details["stop"]
        ]
    refused = ", ".join(f"{count} {reason}" for reason, count in details["refused"].items())
    out.print(line + (f"; not evaluated: {refused}" if refused else ""), markup=False)
    if not with_front:
        return
    out.print("the front of short trainings")
    out.print("  predicted  validation  network")
    for row in details["front"]:
        out.print(
            f"  {format_ms(row['latency_ms']):>9s}  {percent(row['value']):>10s}"
            f"  {row['architecture']}",
            markup=False,
        )
