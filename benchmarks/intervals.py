"""Whether the intervals of a latency model hold on networks that it has never seen.

Measures the ops, the carriers and some whole networks of a space in common rounds. Then, ten times:
fits a model to some of the networks, drawn at random, and counts how many of the others lie within
the intervals that it gives them.

    python benchmarks/intervals.py --json intervals.json
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from _reporting import finish, header
from _tables import measure_space

from devices.target import Target
from latency_models.fit import NetworkSample, fit_latency_model
from lutier.networks import carrier_samples, network_samples
from profiler.table import LatencyTable

COVERAGES = (0.8, 0.9, 0.95)
ASKED = 0.9
BOUNDS = (0.86, 0.96)
"""Of the share within the intervals of 90 %, over all seeds."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile?resolution=96")
    parser.add_argument("--runtime", nargs="+", default=["onnxruntime"])
    parser.add_argument("--known", type=int, default=60, help="networks that a model is given")
    parser.add_argument("--unseen", type=int, default=80, help="networks that it is tested on")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--time-limit", type=float, default=100, help="seconds a table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few networks, no bounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.space, arguments.time_limit, arguments.seeds = "mobile-tiny", 1, 2
        arguments.known, arguments.unseen = 30, 10
    document = header("intervals", seed=arguments.seed)
    results = [run(runtime, arguments) for runtime in arguments.runtime]
    finish({**document, "results": results}, arguments.json)
    missed = [result["target"] for result in results if not result["met"]]
    if arguments.quick:
        return 0
    print(f"  bounds: {f'MISSED: {missed}' if missed else 'met'}")
    return 1 if missed else 0


def run(runtime: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure once, fit and count for each seed; print and return the figures."""
    target = Target.make("cpu", runtime, {"threads": 1})
    table, _ = measure_space(
        arguments.space,
        target,
        arguments.known + arguments.unseen,
        seed=arguments.seed,
        time_limit=arguments.time_limit,
    )
    networks = network_samples(table, arguments.space)
    carriers = carrier_samples(table, arguments.space)
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    rows = [tested(table, networks, carriers, arguments.known, seed) for seed in seeds]
    print(f"{arguments.space} on {target}: {len(networks)} networks, {arguments.known} known")
    found = {}
    for coverage in COVERAGES:
        shares = [float(np.mean(row[coverage])) for row in rows]
        found[coverage] = float(np.mean([share for row in rows for share in row[coverage]]))
        widths = [row[-coverage][0] for row in rows]
        print(
            f"  asked for {coverage:.0%}: {found[coverage]:5.1%} within"
            f" ({min(shares):.0%} to {max(shares):.0%} of single seeds),"
            f" {np.mean(widths):.2%} to either side"
        )
    return {
        "target": str(target),
        "space": arguments.space,
        "networks": len(networks),
        "known": arguments.known,
        "seeds": arguments.seeds,
        "coverage": {str(coverage): share for coverage, share in found.items()},
        "met": BOUNDS[0] <= found[ASKED] <= BOUNDS[1],
    }


def tested(
    table: LatencyTable,
    networks: list[NetworkSample],
    carriers: list[NetworkSample],
    known: int,
    seed: int,
) -> dict[float, list[float]]:
    """For each coverage whether each unseen network is within; at minus it half of the width."""
    order = np.random.default_rng(seed).permutation(len(networks))
    given, unseen = ([networks[i] for i in rows] for rows in (order[:known], order[known:]))
    model = fit_latency_model(table, given, carriers=carriers, seed=seed).model
    measured = np.array([sample.measured_ms for sample in unseen])
    found: dict[float, list[float]] = {}
    for coverage in COVERAGES:
        low, high = model.interval_ms([sample.ops for sample in unseen], coverage).T
        found[coverage] = ((low <= measured) & (measured <= high)).astype(float).tolist()
        found[-coverage] = [math.expm1(model.errors.radius(coverage))]
    return found


if __name__ == "__main__":
    sys.exit(main())
