"""ProxylessNAS from the models of one target or several to a trained, measured network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from devices.errors import InputError
from devices.target import Target
from lutier.opening import open_measured
from lutier.progress import Bar
from lutier.results import SearchResult, save_result
from lutier.searching import MAX_ATTEMPTS, SLOWING, Bench, Evaluator, Request, over_budget
from lutier.settings import Settings
from lutier.tracking import Tracker
from lutier.verification import Verified
from search.architecture import Architecture
from search.budget import format_ms, parse_budget
from search.closed_loop import Round, derive_measured
from search.closed_loop_several import derive_measured_several
from search.derive_several import derive_several
from search.expected_latency import LatencyMatrix, Limit
from search.fill import derive_filling
from search.finalists import draw_finalists
from search.pricing import FloatArray
from search.proxyless import EpochRecord, ProxylessResult, proxyless_search
from search.proxyless_config import ProxylessConfig
from search.spaces.registry import open_chain
from search.strategies.admissible import ChainAdmissible
from search.team import ALONE, Team

MEASURED = 3
"""How many networks are measured for each finalist, where many are over the budget."""


def parse_also(text: str) -> tuple[Target, float]:
    """A further target and its budget in ms, written ``TARGET=BUDGET``.

    Raises:
        InputError: it is not written so; as the target or the budget says.
    """
    target, equals, budget = text.rpartition("=")
    if not equals or not target or not budget[:1].isdigit():
        raise InputError(
            f"{text!r} is not a target with a budget",
            "a further target is written TARGET=BUDGET",
            "--also 'cpu/onnxruntime?threads=4=1.5ms'",
        )
    return Target.parse(target), parse_budget(budget)


def search_proxyless(
    settings: Settings,
    request: Request,
    config: ProxylessConfig,
    *,
    warmup: Path | None = None,
    team: Team = ALONE,
) -> SearchResult:
    """ProxylessNAS, then the closed loop with the devices, then training from scratch.

    Args:
        settings: where tables and models are.
        request: what is searched for; device and precision of training are the supernet's too.
        config: of the supernet.
        warmup: file of a warm-up that searches under other budgets share.
        team: processes that train the supernet together, of which this is the first.

    Raises:
        LutierError: as :class:`Bench` and :func:`search.proxyless.proxyless_search` do, of every
            target before anything is trained; BudgetError where no network was within the budgets
            when it was measured.
    """
    start = time.monotonic()
    with _searched(settings, request, config, warmup, team) as (benches, found):
        bench = benches[0]
        asked_ms = [each.asked_ms for each in benches]
        tried: list[tuple[Round, ...]] = []
        compared: list[dict[str, Any]] = []
        for attempt in range(1, MAX_ATTEMPTS + 1):
            with Bar("measuring candidates", 1, quiet=request.quiet):
                tried += _derived(benches, found, asked_ms)
            if found.config.finalists > 1:
                tried, compared = _compared(benches, found, tried)
            architecture = tried[-1][0].architecture
            network, trained = bench.train(architecture)
            verified = [each.verify(architecture, network) for each in benches]
            over = [i for i, each in enumerate(benches) if not _is_within(each, verified[i])]
            if not over:
                break
            # The machine has slowed down: ask for that much less, and for a little more each time.
            for i in over:
                slower = benches[i].request.budget_ms / verified[i].summary.median_ms
                asked_ms[i] = tried[-1][i].predicted_ms * slower * (1 - SLOWING * attempt)
        else:
            raise over_budget(benches[over[0]].request, architecture, verified[over[0]])
        details = {
            "config": asdict(found.config),
            "argmax_architecture": found.argmax_architecture.id,
            "argmax_predicted_ms": found.argmax_ms,
            "probabilities": found.probabilities,
            "history": [asdict(record) for record in found.history],
            "trained": asdict(trained),
            "rounds": [_described(rounds[0]) for rounds in tried],
            "finalists": compared,
            "also": [
                {
                    "target": str(each.request.target),
                    "environment_id": each.device.environment(each.request.target).id,
                    "budget_ms": each.request.budget_ms,
                    "predicted_ms": each.predict_ms(architecture),
                    "measured_ms": verified[i].summary.median_ms,
                    "table_digest": each.table.digest,
                    "rounds": [_described(rounds[i]) for rounds in tried],
                }
                for i, each in enumerate(benches[1:], 1)
            ],
        }
        seconds = time.monotonic() - start
        accuracies = (trained.test_accuracy, trained.validation_accuracy)
        result = bench.result("proxyless", architecture, verified[0], accuracies, seconds, details)
    save_result(request.folder, result, network.state_dict())
    return result


def help_search(
    settings: Settings,
    request: Request,
    config: ProxylessConfig,
    *,
    warmup: Path | None = None,
    team: Team,
) -> None:
    """What the other processes of a team do in :func:`search_proxyless`: train the supernet."""
    with _searched(settings, request, config, warmup, team):
        pass


@contextmanager
def _searched(
    settings: Settings,
    request: Request,
    config: ProxylessConfig,
    warmup: Path | None,
    team: Team,
) -> Iterator[tuple[list[Bench], ProxylessResult]]:
    """The benches of all targets, opened, and the supernet's choices."""
    space = open_chain(request.space, "ProxylessNAS")
    training = request.training
    config = replace(
        config,
        seed=request.seed,
        device=training.device,
        mixed_precision=training.mixed_precision,
    )
    if not team.is_first:
        request = replace(request, quiet=True, track=None)
    with request.tracking("proxyless") as tracker, ExitStack() as opened:
        benches: list[Bench] = []
        for target, budget_ms in ((request.target, request.budget_ms), *request.also):
            device = opened.enter_context(open_measured(settings, target))
            asked = replace(request, target=target, budget_ms=budget_ms)
            data = benches[0].data if benches else None
            benches.append(Bench(settings, asked, device, tracker, data))
        bench = benches[0]
        with Bar("searching", config.epochs, quiet=request.quiet) as bar:
            found = proxyless_search(
                space,
                _matrix(bench),
                bench.data,
                bench.asked_ms,
                config,
                also=[Limit(_matrix(other), other.asked_ms) for other in benches[1:]],
                checkpoint=request.folder / "checkpoint.pt",
                warmup=warmup,
                on_progress=_show_epoch(bar, tracker),
                team=team,
            )
        yield benches, found


def _derived(
    benches: Sequence[Bench], found: ProxylessResult, asked_ms: Sequence[float]
) -> list[tuple[Round, ...]]:
    """The networks that were derived and measured, of each device; the last is within budget."""
    first, *others = benches
    logs = found.log_probabilities
    if others:
        limits = [Limit(_matrix(each), each.request.budget_ms) for each in benches]
        measures = [each.measure for each in benches]
        return derive_measured_several(limits, logs, measures, start_ms=asked_ms)
    budget_ms = first.request.budget_ms
    rounds = derive_measured(_matrix(first), logs, budget_ms, first.measure, start_ms=asked_ms[0])
    return [(each,) for each in rounds]


def _compared(
    benches: Sequence[Bench], found: ProxylessResult, tried: Sequence[tuple[Round, ...]]
) -> tuple[list[tuple[Round, ...]], list[dict[str, Any]]]:
    """Networks like the last one of those tried, also within the budgets, by short trainings.

    Returns:
        All networks that were measured, the best one last; and each that was trained, with its
        validation accuracy.
    """
    first, config = benches[0], found.config
    limits = [
        Limit(_matrix(each), round_.asked_ms)
        for each, round_ in zip(benches, tried[-1], strict=True)
    ]
    space = limits[0].matrix.space
    admissible = [ChainAdmissible(limit.matrix, limit.budget_ms) for limit in limits]

    def derive(logs: Sequence[FloatArray]) -> Architecture:
        if len(limits) > 1:
            return derive_several(limits, logs)
        return derive_filling(limits[0].matrix, logs, limits[0].budget_ms)

    known = {space.representative(rounds[0].architecture): rounds for rounds in tried}
    evaluate = Evaluator(first, config.finalist_epochs, "finalists", keep=True)
    accuracies: dict[Architecture, float] = {}
    drawing, changing = np.random.default_rng([config.seed, 1]).spawn(2)
    wanted = MEASURED * config.finalists
    drawn = draw_finalists(derive, found.log_probabilities, wanted, drawing)
    with Bar("comparing finalists", config.finalists, quiet=first.request.quiet) as bar:
        network: Architecture | None = space.representative(tried[-1][0].architecture)
        while network is not None:
            if network not in known:
                known[network] = tuple(
                    Round.of(network, limit, bench.measure)
                    for bench, limit in zip(benches, limits, strict=True)
                )
            # The first is within the budgets, or it would not have been the last of those tried.
            if not accuracies or all(map(_has_room, benches, known[network])):
                accuracies[network] = evaluate(network)
                first.tracker.log(
                    {"finalists/validation_accuracy": accuracies[network]}, len(accuracies) - 1
                )
                bar.update(len(accuracies))
            if len(accuracies) >= config.finalists or len(known) >= len(tried) + wanted:
                break
            # Half are drawn, the others are changes of the best so far.
            network = None
            if 2 * len(accuracies) < config.finalists:
                fresh = (each for each in map(space.representative, drawn) if each not in known)
                network = next(fresh, None)
            if network is None:
                network = _change(admissible, accuracies, known, changing)
    # Of equals the likeliest, which comes first.
    best = max(accuracies, key=accuracies.__getitem__)
    others = [rounds for network, rounds in known.items() if network != best]
    described = [
        {"architecture": known[network][0].architecture.id, "validation_accuracy": accuracy}
        for network, accuracy in accuracies.items()
    ]
    return [*others, known[best]], described


def _change(
    admissible: Sequence[ChainAdmissible],
    accuracies: Mapping[Architecture, float],
    known: Iterable[Architecture],
    generator: np.random.Generator,
) -> Architecture | None:
    """A network not known yet, one change from the best, or from the next best, and so on."""
    for parent in sorted(accuracies, key=accuracies.__getitem__, reverse=True):
        first, *others = (chain.from_iterable(a.neighbours(parent).within) for a in admissible)
        everywhere = set(first).intersection(*others)
        networks = sorted(everywhere - set(known), key=lambda network: network.choices)
        if networks:
            return networks[generator.integers(len(networks))]
    return None


def _has_room(bench: Bench, round_: Round) -> bool:
    return round_.upper_ms <= bench.request.budget_ms


def _matrix(bench: Bench) -> LatencyMatrix:
    if not isinstance(bench.latency, LatencyMatrix):
        raise TypeError("a chain of blocks is priced by block")
    return bench.latency


def _is_within(bench: Bench, verified: Verified) -> bool:
    return verified.summary.median_ms <= bench.request.budget_ms


def _described(round_: Round) -> dict[str, Any]:
    return {**asdict(round_), "architecture": round_.architecture.id}


def _show_epoch(bar: Bar, tracker: Tracker) -> Callable[[EpochRecord, int], None]:
    def show(record: EpochRecord, epochs: int) -> None:
        label = f"searching ({record.phase}, expected {format_ms(record.expected_ms)})"
        bar.update(record.epoch, total=epochs, label=label)
        figures = asdict(record)
        del figures["epoch"], figures["phase"]
        also_ms = enumerate(figures.pop("also_expected_ms"), 2)
        figures |= {f"expected_ms_{i}": expected_ms for i, expected_ms in also_ms}
        multipliers = enumerate(figures.pop("multipliers"), 1)
        figures |= {f"multiplier_{i}": multiplier for i, multiplier in multipliers}
        tracker.log({f"search/{name}": value for name, value in figures.items()}, record.epoch)

    return show
