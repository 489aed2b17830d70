"""A strategy from the model of a target to a trained network that was measured within its budget.

Networks are compared by short trainings; the best of them is measured, trained from scratch for as
long as any other search does, and measured again.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from devices.errors import BudgetError, InputError
from lutier.evaluations import EvaluationFile
from lutier.opening import open_measured
from lutier.progress import Bar
from lutier.results import SearchResult, save_result
from lutier.searching import MAX_ATTEMPTS, Bench, Evaluator, Request, over_budget
from lutier.settings import Settings
from lutier.terminal import percent
from lutier.verification import Verified
from search.budget import format_ms
from search.checkpoint import fingerprint_of
from search.closed_loop import Round
from search.strategies import Evaluation, Strategy, StrategyResult, admissible_within
from search.train import TrainResult

MAX_MEASURED = 8
"""How many networks are measured, where the best are over the budget after all."""


@dataclass(frozen=True)
class StrategyConfig:
    """How many networks are evaluated, and how.

    Attributes:
        strategy: chooses them.
        evaluations: how many.
        epochs: of the short training that is an evaluation.
        max_seconds: no evaluation begins once all took this long.

    Raises:
        InputError: a number below one.
    """

    strategy: Strategy
    evaluations: int = 40
    epochs: int = 2
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations < 1 or self.epochs < 1:
            raise InputError(
                f"{self.evaluations} evaluations of {self.epochs} epochs", "must be at least 1 each"
            )


def search_strategy(settings: Settings, request: Request, config: StrategyConfig) -> SearchResult:
    """Evaluate networks, then train the best one that is within the budget when measured.

    Raises:
        LutierError: as :class:`Bench` and :meth:`search.strategies.base.Strategy.search` do;
            BudgetError where no network was within the budget when it was measured.
    """
    start = time.monotonic()
    strategy: Any = config.strategy  # every strategy is a dataclass
    name = config.strategy.name
    with (
        request.tracking(name) as tracker,
        open_measured(settings, request.target) as device,
    ):
        bench = Bench(settings, request, device, tracker)
        found = _evaluated(bench, config)
        rounds, network, trained, verified = _settled(bench, found)
        details = {
            "config": {
                "strategy": asdict(strategy),
                "evaluations": config.evaluations,
                "epochs": config.epochs,
                "max_seconds": config.max_seconds,
            },
            "evaluations": [one.row() for one in found.history],
            "front": [one.row() for one in found.front],
            "refused": found.refused,
            "stop": found.stop,
            "rounds": [{**asdict(each), "architecture": each.architecture.id} for each in rounds],
            "trained": asdict(trained),
        }
        result = bench.result(
            name,
            rounds[-1].architecture,
            verified,
            (trained.test_accuracy, trained.validation_accuracy),
            time.monotonic() - start,
            details,
        )
    save_result(request.folder, result, network.state_dict())
    return result


def _evaluated(bench: Bench, config: StrategyConfig) -> StrategyResult:
    """What the strategy finds, going on from the evaluations that are kept."""
    request, strategy = bench.request, config.strategy
    evaluate = Evaluator(bench, config.epochs, "evaluations", keep=False)
    kept = EvaluationFile(
        request.folder / "evaluations.jsonl",
        fingerprint_of(
            search=strategy.name,
            strategy=strategy,
            matrix=bench.latency,
            data=bench.data,
            budget_ms=bench.asked_ms,
            evaluation=evaluate.config,
            seed=request.seed,
        ),
    )
    history = kept.read()
    best = max((one.score for one in history), default=float("-inf"))
    with Bar("evaluating", config.evaluations, quiet=request.quiet) as bar:
        bar.update(len(history))

        def keep(one: Evaluation) -> None:
            nonlocal best
            kept.append(one)
            best = max(best, one.score)
            bar.update(one.order + 1, label=f"evaluating, best {percent(best)}")
            bench.tracker.log(
                {"search/value": one.value, "search/predicted_ms": one.latency_ms}, one.order
            )

        return strategy.search(
            admissible_within(bench.latency, bench.asked_ms),
            evaluate,
            config.evaluations,
            request.seed,
            history=history,
            on_evaluation=keep,
            max_seconds=config.max_seconds,
        )


def _settled(
    bench: Bench, found: StrategyResult
) -> tuple[list[Round], nn.Module, TrainResult, Verified]:
    """The best network within the budget when measured; the last of the rounds is of it."""
    budget_ms = bench.request.budget_ms
    # All failed, if the best did.
    best = found.best
    ranked = sorted(
        (one for one in found.history if one.value is not None),
        key=lambda one: (one is not best, -one.score, one.latency_ms),
    )
    rounds: list[Round] = []
    attempts = 0
    for one in ranked[:MAX_MEASURED]:
        architecture = one.architecture
        with Bar("measuring", 1, quiet=bench.request.quiet):
            measured_ms, upper_ms = bench.measure(architecture)
        rounds.append(Round(architecture, bench.asked_ms, one.latency_ms, measured_ms, upper_ms))
        if upper_ms > budget_ms:
            continue
        network, trained = bench.train(architecture)
        verified = bench.verify(architecture, network)
        if verified.summary.median_ms <= budget_ms:
            return rounds, network, trained, verified
        attempts += 1
        if attempts == MAX_ATTEMPTS:
            raise over_budget(bench.request, architecture, verified)
    if attempts:
        raise over_budget(bench.request, architecture, verified)
    closest = min(rounds, key=lambda each: each.upper_ms)
    raise BudgetError(
        f"none of {len(rounds)} networks was within {format_ms(budget_ms)} when measured",
        f"the closest, {closest.architecture}, took up to {format_ms(closest.upper_ms)}",
        f"--confidence 0.9, or a budget of at least {format_ms(closest.upper_ms)}",
    )
