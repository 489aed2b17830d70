"""What searches find on NAS-Bench-201 within latency budgets, by figures that are in a file.

A training is looked up. Each repeat draws, for each network, which of its two or three seeds a
search sees; the mean of the others is what is reported, as regret in points against the network
within the budget whose mean over all its seeds is best. A network is one of each function, with
the latency that was measured of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from devices.errors import InputError
from search.architecture import Architecture
from search.spaces.cell_forms import representatives
from search.spaces.nasbench201 import nasbench201, parse_string
from search.strategies.admissible import ListAdmissible
from search.strategies.base import Strategy
from search.tables.nasbench201 import AccuracyTable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Choices = tuple[int, ...]

PHONES = ("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7", "pixel2")
PERCENTILES = (10, 25, 50)
ALL = 100
FINALISTS = (20, 40)
CANDIDATES = (
    "flops",
    "synflow",
    "naswot",
    "jacob_cov",
    "zico",
    "zico_signed",
    "swap",
    "meco",
    "mgm_layers",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
)
"""Proxies that a combination is chosen from."""

MOST_PARTS = 2
RANDOM, MGM, EVERYTHING = "random", "KNAS (MGM)", "everything"
COMBINED, APART, SIZE = "KNAS (combination)", "KNAS (chosen apart)", "KNAS (flops)"
MOST = max(FINALISTS)


@dataclass(frozen=True)
class Budget:
    """Networks up to a percentile of the latencies of a device.

    Attributes:
        device: a column of the file of latencies; empty where there is no budget.
        percentile: of the latencies of all networks.
        budget_ms: in ms; infinite where there is none.
        networks: indices of those within.
    """

    device: str
    percentile: int
    budget_ms: float
    networks: Ints

    def __str__(self) -> str:
        if not self.device:
            return "no budget"
        return f"{self.device} {self.percentile} %"


class Trainings:
    """The accuracies of one data set as repeated searches see and report them.

    Attributes:
        data_set: its name.
        mean: over all seeds, shape ``(networks,)``.
        seen: in each repeat, shape ``(repeats, networks)``.
        reported: the same, of the seeds that were not seen.
    """

    def __init__(
        self, table: AccuracyTable, networks: Sequence[Choices], repeats: int, seed: int
    ) -> None:
        self.data_set = table.data_set
        seeds = np.array([table.percent[choices] for choices in networks])
        count = np.isfinite(seeds).sum(1)
        total = np.nansum(seeds, 1)
        self.mean: Floats = total / count
        generators = [np.random.default_rng((seed, repeat)) for repeat in range(repeats)]
        # The same of the seeds on every data set.
        drawn = np.array([generator.integers(0, count) for generator in generators])
        self.seen: Floats = seeds[np.arange(len(networks)), drawn]
        self.reported: Floats = (total - self.seen) / (count - 1)

    def found(self, picked: Ints) -> Floats:
        """What is reported of the best of the networks that were trained.

        Args:
            picked: indices of networks, shape ``(k,)``, or ``(repeats, k)``.

        Returns:
            Accuracies in percent, shape ``(repeats,)``.
        """
        rows = np.arange(len(self.seen))
        every = np.broadcast_to(picked, (len(rows), picked.shape[-1]))
        seen = np.take_along_axis(self.seen, every, 1)
        return self.reported[rows, every[rows, seen.argmax(1)]]

    def oracle(self, budget: Budget) -> float:
        """The best mean accuracy within a budget."""
        return float(self.mean[budget.networks].max())


def read_budgets(path: Path, networks: Sequence[Choices]) -> list[Budget]:
    """Budgets at percentiles of every device's latencies.

    Args:
        path: Parquet, with a column ``arch`` and a column in ms for each device.
        networks: the networks to choose from.

    Raises:
        InputError: a file that is none, or that lacks a network or has no latency of it.
    """
    try:
        frame = pd.read_parquet(path)
        rows = {parse_string(text): row for row, text in enumerate(frame["arch"])}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no Parquet file of latencies",
            str(error).partition("\n")[0],
            "a column arch, and a column in ms for each device",
        ) from error
    missing = [choices for choices in networks if choices not in rows]
    if missing:
        raise InputError(f"{path} has no latencies of {len(missing):,} networks", f"{missing[0]}")
    chosen = [rows[choices] for choices in networks]
    budgets = []
    for device in frame.columns.drop("arch"):
        latencies_ms = frame[device].to_numpy(float)[chosen]
        if not np.isfinite(latencies_ms).all():
            raise InputError(f"{path}: latencies of {device} are not all finite")
        for percentile in PERCENTILES:
            budget_ms = float(np.percentile(latencies_ms, percentile))
            within = np.flatnonzero(latencies_ms <= budget_ms)
            budgets.append(Budget(str(device), percentile, budget_ms, within))
    return budgets


def unlimited(networks: Sequence[Choices]) -> Budget:
    """No budget."""
    return Budget("", ALL, np.inf, np.arange(len(networks)))


Combination = tuple[str, tuple[str, ...]]
"""``sum`` or ``product``, and the proxies whose ranks it is of."""


def text_of(combination: Combination) -> str:
    how, parts = combination
    return parts[0] if len(parts) == 1 else f"{how} of ranks of {', '.join(parts)}"


class Rankings:
    """What proxies say of the networks within one budget."""

    def __init__(self, budget: Budget, scores: Mapping[str, Floats]) -> None:
        table = np.array([values[budget.networks] for values in scores.values()])
        # A network that a proxy has no figure of is ranked by none, and never a finalist.
        ranked = np.isfinite(table).all(0)
        self.networks = budget.networks[ranked]
        self.ranks = dict(zip(scores, rankdata(table[:, ranked], axis=1), strict=True))
        self.logarithms = {name: np.log(ranks) for name, ranks in self.ranks.items()}

    def best(self, combination: Combination, count: int) -> Ints:
        """The networks that a combination puts first, the best of all first."""
        how, parts = combination
        table = self.ranks if how == "sum" else self.logarithms
        total = np.sum([table[part] for part in parts], 0)
        count = min(count, len(total))
        first = np.argpartition(-total, count - 1)[:count]
        return self.networks[first[np.argsort(-total[first], kind="stable")]]


def combinations(names: Sequence[str], most: int) -> Iterator[Combination]:
    """Every sum and product of the ranks of a few proxies, the fewest first."""
    for count in range(1, most + 1):
        for parts in itertools.combinations(names, count):
            yield "sum", parts
            if count > 1:
                yield "product", parts


def random_finalists(budget: Budget, repeats: int, seed: int) -> Ints:
    """Networks that random search trains, other ones in each repeat: ``(repeats, k)``."""
    generators = [np.random.default_rng((seed, 1, repeat)) for repeat in range(repeats)]
    drawn = [generator.permutation(budget.networks) for generator in generators]
    return np.array(drawn)[:, :MOST]


@dataclass(frozen=True)
class Problem:
    """Networks, what is known of them, and the budgets they have to meet.

    Attributes:
        networks: operations of each.
        scores: of each proxy, larger is better, shape ``(networks,)``, NaN where it has none.
        trainings: on each data set.
        budgets: in the order they are printed.
        seed: of everything random.
    """

    networks: Sequence[Choices]
    scores: Mapping[str, Floats]
    trainings: Sequence[Trainings]
    budgets: Sequence[Budget]
    seed: int

    @property
    def repeats(self) -> int:
        return len(self.trainings[0].seen)

    def regrets(self, budget: Budget, picked: Ints, count: int) -> list[Floats]:
        """Regret on each data set where the first of the networks picked are trained.

        Args:
            budget: what the oracle has to meet too.
            picked: networks, ``(k,)`` or ``(repeats, k)``.
            count: how many of them are trained.
        """
        first = picked[..., :count]
        return [one.oracle(budget) - one.found(first) for one in self.trainings]

    def rankings(self, budget: Budget, names: Sequence[str]) -> Rankings:
        return Rankings(budget, {name: self.scores[name] for name in names})


def device_numbers(budgets: Sequence[Budget]) -> Ints:
    """Which device each budget is of; one device in batches of several sizes is one."""
    devices = [re.sub(r"_\d+$", "", budget.device) for budget in budgets]
    order = list(dict.fromkeys(devices))
    return np.array([order.index(device) for device in devices])


@dataclass(frozen=True)
class Ratings:
    """Regret of every combination, in shares of that of random search in the same place.

    Attributes:
        combinations: what is rated.
        shares: shape ``(budgets, combinations, finalists, data sets)``.
        devices: number of the device of each budget.
    """

    combinations: Sequence[Combination]
    shares: Floats
    devices: Ints

    @classmethod
    def of(cls, problem: Problem, names: Sequence[str]) -> Ratings:
        every, rows = list(combinations(names, MOST_PARTS)), []
        for budget in problem.budgets:
            rankings = problem.rankings(budget, names)
            random = random_finalists(budget, problem.repeats, problem.seed)
            picked = [random, *(rankings.best(one, MOST) for one in every)]
            rows.append([mean_regrets(problem, budget, one) for one in picked])
        regrets = np.array(rows)
        return cls(every, regrets[:, 1:] / regrets[:, :1], device_numbers(problem.budgets))

    def best(self, known: npt.NDArray[np.bool_]) -> Combination:
        """Of those that beat random search most often, the one of least mean share.

        Args:
            known: what may be gone by, shape ``(budgets, data sets)``.
        """
        shares = self.shares.transpose(0, 3, 1, 2)[known]
        lost, mean = (shares >= 1).sum((0, 2)), shares.mean((0, 2))
        return self.combinations[int(np.lexsort((mean, lost))[0])]

    def chosen(self, apart: bool) -> list[list[Combination]]:
        """For each budget and data set, the combination that was chosen without it.

        Args:
            apart: whether it is chosen on other devices and on other data sets; otherwise on the
                other half of the pairs of a device and a data set, which are in two halves like
                the fields of a chessboard.
        """
        budgets, data_sets = len(self.devices), self.shares.shape[3]
        colour = (self.devices[:, None] + np.arange(data_sets)) % 2
        found: dict[tuple[int, int], Combination] = {}
        for half, data_set in itertools.product((0, 1), range(data_sets)):
            known = colour != half
            if apart:
                other = np.arange(data_sets) != data_set
                known = (self.devices[:, None] % 2 != half) & other
            found[half, data_set] = self.best(known)
        halves = np.broadcast_to(self.devices[:, None] % 2, colour.shape) if apart else colour
        return [[found[int(halves[i, d]), d] for d in range(data_sets)] for i in range(budgets)]


def mean_regrets(problem: Problem, budget: Budget, picked: Ints) -> list[list[float]]:
    """By number of finalists and data set."""
    return [[float(r.mean()) for r in problem.regrets(budget, picked, k)] for k in FINALISTS]


def strategy_finalists(problem: Problem, budget: Budget, strategy: Strategy) -> list[Ints]:
    """Networks that a strategy trained in each repeat, ``(repeats, k)``, for each data set."""
    space = nasbench201()
    index = {choices: i for i, choices in enumerate(problem.networks)}
    within = set(budget.networks.tolist())
    first = representatives()
    # Only whether a network is within the budget matters to these strategies.
    latencies_ms = {
        space.architecture(choices): 0.0 if index[first[choices]] in within else 1.0
        for choices in first
    }
    admissible = ListAdmissible(latencies_ms, 0.5, same_as=space.representative)
    found = []
    for one in problem.trainings:
        rows = []
        for repeat, seen in enumerate(one.seen):

            def evaluate(architecture: Architecture, seen: Floats = seen) -> float:
                return float(seen[index[architecture.choices]])

            seed = problem.seed + repeat
            history = strategy.search(admissible, evaluate, MOST, seed).history
            rows.append([index[each.architecture.choices] for each in history])
        found.append(np.array(rows))
    return found


def run(problem: Problem, names: Sequence[str], strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Regret of every way to search, under every budget and on every data set.

    Strategies that learn from trainings are run on phones and without a budget.
    """
    ratings = Ratings.of(problem, names)
    chosen = {COMBINED: ratings.chosen(apart=False), APART: ratings.chosen(apart=True)}
    for way, table in chosen.items():
        texts = dict.fromkeys(text_of(one) for row in table for one in row)
        print(f"{way}: {'; '.join(texts)}")
    results: list[dict[str, Any]] = []
    for i, budget in enumerate(problem.budgets):
        rankings = problem.rankings(budget, names)
        random = random_finalists(budget, problem.repeats, problem.seed)
        ways: dict[str, list[Ints]] = {RANDOM: same(problem, random)}
        for way, table in chosen.items():
            ways[way] = [rankings.best(one, MOST) for one in table[i]]
        for way, name in ((MGM, "mgm"), (SIZE, "flops")):
            alone = problem.rankings(budget, [name]).best(("sum", (name,)), MOST)
            ways[way] = same(problem, alone)
        if budget.device in ("", *PHONES):
            for strategy in strategies:
                ways[strategy.name] = strategy_finalists(problem, budget, strategy)
                print(f"  {strategy.name}, {budget}: done", flush=True)
        for (way, picked), count in itertools.product(ways.items(), FINALISTS):
            results += rows_of(problem, budget, way, picked, count)
        everything = same(problem, budget.networks)
        results += rows_of(problem, budget, EVERYTHING, everything, len(budget.networks))
    texts = {way: [[text_of(one) for one in row] for row in table] for way, table in chosen.items()}
    return {"chosen": texts, "cells": results}


def same(problem: Problem, picked: Ints) -> list[Ints]:
    """The same networks for every data set."""
    return [picked] * len(problem.trainings)


def rows_of(
    problem: Problem, budget: Budget, way: str, picked: Sequence[Ints], count: int
) -> Iterator[dict[str, Any]]:
    """Accuracy and regret on each data set, over the repeats."""
    for one, networks in zip(problem.trainings, picked, strict=True):
        accuracy, oracle = one.found(networks[..., :count]), one.oracle(budget)
        regret = oracle - accuracy
        yield {
            "device": budget.device,
            "percentile": budget.percentile,
            "budget_ms": budget.budget_ms,
            "networks": len(budget.networks),
            "data_set": one.data_set,
            "way": way,
            "k": count,
            "accuracy": float(accuracy.mean()),
            "accuracy_std": float(accuracy.std()),
            "regret": float(regret.mean()),
            "regret_std": float(regret.std()),
            "oracle": oracle,
        }
