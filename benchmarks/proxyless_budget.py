"""Whether a network found by ProxylessNAS meets its latency budget when it is measured.

Profiles ``mobile-tiny`` on this CPU, then searches on Fashion-MNIST under several budgets, each
with several seeds: with our loss, derivation and closed loop, and with the paper's two losses and
its likeliest network. Each network found is measured, and compared with its budget.

    python benchmarks/proxyless_budget.py --json proxyless_budget.json
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _fashion import FASHION_MNIST, SPACE, Bench, is_there, opened
from _reporting import finish, header

from devices.errors import BudgetError
from devices.registry import open_target
from lutier.networks import network_job
from lutier.searching import Request
from lutier.searching_proxyless import search_proxyless
from lutier.verification import verify_network
from search.data import open_data
from search.expected_latency import LatencyMatrix
from search.proxyless import proxyless_search

SHARES = (0.15, 0.3, 0.45, 0.6, 0.75)
"""Where the budgets lie between the fastest and the slowest network."""
LEAST_USED = 0.9
"""Of the budget, on the average over all searches."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=FASHION_MNIST, help="folder of Fashion-MNIST")
    parser.add_argument("--images", type=int, default=2000, help="images to train on")
    parser.add_argument(
        "--losses", nargs="*", default=["mul#log", "add#linear"], help="of the paper, beside ours"
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="one short search, no bounds")
    arguments = parser.parse_args()
    if not is_there(arguments.data):
        return 0
    shares = SHARES[1:2] if arguments.quick else SHARES
    if arguments.quick:
        arguments.images, arguments.seeds = 300, 1
    document = header("proxyless_budget", seed=arguments.seed)
    with opened(arguments.data, arguments.images, is_quick=arguments.quick) as bench:
        results = [
            run(bench, share, seed)
            for share in shares
            for seed in range(arguments.seed, arguments.seed + arguments.seeds)
            for run in (lutier_search, *map(paper_search, arguments.losses))
        ]
    missed = report(results)
    print(f"  bounds: {'met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    finish({**document, "results": results, "missed": missed}, arguments.json)
    return 1 if missed and not arguments.quick else 0


def lutier_search(bench: Bench, share: float, seed: int) -> dict[str, Any]:
    """The whole of ``lutier search proxyless``: the result is measured once more at its end."""
    budget_ms = bench.budget_ms(share)
    request = Request(
        target=bench.target,
        space=SPACE,
        data="fashion-mnist-few",
        budget_ms=budget_ms,
        seed=seed,
        folder=bench.folder / f"search-{share}-{seed}",
        train_epochs=bench.train_epochs,
        quiet=True,
    )
    try:
        found = search_proxyless(bench.settings, request, bench.config)
    except BudgetError as error:
        print(f"  {error}")
        return row("lutier", share, seed, budget_ms, float("nan"), float("nan"))
    return row("lutier", share, seed, budget_ms, found.predicted_ms, found.measured_ms)


def paper_search(loss: str) -> Any:
    """The paper's loss, and its network: the likeliest candidate of each block."""

    def run(bench: Bench, share: float, seed: int) -> dict[str, Any]:
        budget_ms = bench.budget_ms(share)
        matrix = LatencyMatrix.from_model(bench.space, bench.model.near(budget_ms))
        data = open_data("fashion-mnist-few", bench.space.input_shape, seed)
        # The strengths of the paper, for as few steps as here.
        config = replace(bench.config, loss=loss, seed=seed, weight=0.1)
        found = proxyless_search(bench.space, matrix, data, budget_ms, config)
        with open_target(bench.target) as device:
            verified = verify_network(
                network_job(bench.space, found.argmax_architecture),
                bench.space.ops(found.argmax_architecture),
                device,
                bench.target,
                bench.settings.protocol(bench.target),
                bench.table,
                budget_ms,
                seed,
            )
        return row(loss, share, seed, budget_ms, found.argmax_ms, verified.summary.median_ms)

    return run


def row(
    way: str, share: float, seed: int, budget_ms: float, predicted_ms: float, measured_ms: float
) -> dict[str, Any]:
    """One search; printed as it comes."""
    print(
        f"  {way:10s} budget {1e3 * budget_ms:6.1f} us  seed {seed}"
        f"  predicted {predicted_ms / budget_ms:5.1%}  measured {measured_ms / budget_ms:5.1%}"
        f" of it{'' if measured_ms <= budget_ms else '  OVER'}",
        flush=True,
    )
    return {
        "way": way,
        "share": share,
        "seed": seed,
        "budget_ms": budget_ms,
        "predicted_ms": predicted_ms,
        "measured_ms": measured_ms,
    }


def report(results: list[dict[str, Any]]) -> list[str]:
    """Print one line a way, and return the bounds that ours misses."""
    missed = []
    for way in dict.fromkeys(result["way"] for result in results):
        used = np.array([r["measured_ms"] / r["budget_ms"] for r in results if r["way"] == way])
        within = int((used <= 1).sum())
        print(
            f"  {way:10s} {within} of {len(used)} within the budget, {np.nanmean(used):.1%} of it"
            f" used ({np.nanmin(used):.1%} to {np.nanmax(used):.1%})"
        )
        if way == "lutier" and within < len(used):
            missed.append(f"{len(used) - within} over the budget")
        if way == "lutier" and not np.nanmean(used) >= LEAST_USED:
            missed.append(f"{np.nanmean(used):.1%} of the budget used")
    return missed


if __name__ == "__main__":
    sys.exit(main())
