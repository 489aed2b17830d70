"""Whether a network found by ProxylessNAS meets its latency budget when it is measured.

Profiles ``mobile-tiny`` on this CPU, then searches on Fashion-MNIST under several budgets, each
with several seeds: with our loss, derivation and closed loop, and with the paper's two losses and
its likeliest network. Each network found is measured, and compared with its budget.

    python benchmarks/proxyless_budget.py --json proxyless_budget.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _reporting import finish, header

from devices.errors import BudgetError
from devices.registry import open_target
from devices.target import Target
from lutier.cli.profiling import run_profile
from lutier.modelling import find_model, fit_models, load_table
from lutier.networks import network_job
from lutier.searching import Request
from lutier.searching_proxyless import search_proxyless
from lutier.settings import Settings
from lutier.verification import verify_network
from search.data import DataSource, open_data, register_data
from search.data.arrays import ImageArrays
from search.data.source import stratified
from search.expected_latency import LatencyMatrix
from search.proxyless import proxyless_search
from search.proxyless_config import ProxylessConfig
from search.spaces.registry import open_space

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SPACE = "mobile-tiny"
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
    if not arguments.data.is_dir():
        print(f"skipped: no Fashion-MNIST in {arguments.data}", file=sys.stderr)
        print("apt-get install dataset-fashion-mnist, or --data DIR", file=sys.stderr)
        return 0
    shares = SHARES[1:2] if arguments.quick else SHARES
    if arguments.quick:
        arguments.images, arguments.seeds = 300, 1
    document = header("proxyless_budget", seed=arguments.seed)
    register(arguments.data, arguments.images)
    target = Target.make("cpu", "onnxruntime", {"threads": 1})
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(
            home=Path(name),
            db=f"sqlite:///{name}/lut.db",
            networks=30 if arguments.quick else 60,
            max_seconds=1 if arguments.quick else 30,
            min_seconds=0.2,
        )
        run_profile(settings, target, SPACE, quiet=True)
        fit_models(settings, target)
        bench = Bench(settings, target, arguments, Path(name))
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


def register(folder: Path, images: int) -> None:
    """Fashion-MNIST with fewer training images, as ``fashion-mnist-few``."""

    @register_data("fashion-mnist-few")
    def few(input_shape: tuple[int, int, int], seed: int) -> DataSource:
        source = open_data(f"fashion-mnist:{folder}", input_shape, seed)

        def drawn(split: ImageArrays, count: int) -> ImageArrays:
            share = min(1.0, count / len(split))
            kept, _ = stratified(split.labels, (share, 1 - share), seed)
            return ImageArrays(
                split.pixels[kept], split.labels[kept], split.shape, split.normalisation
            )

        if not (isinstance(source.train, ImageArrays) and isinstance(source.test, ImageArrays)):
            raise TypeError("Fashion-MNIST is kept as arrays of images")
        if not isinstance(source.validation, ImageArrays):
            raise TypeError("Fashion-MNIST is kept as arrays of images")
        return replace(
            source,
            name="fashion-mnist-few",
            train=drawn(source.train, images),
            validation=drawn(source.validation, images // 2),
            test=drawn(source.test, images),
        )


class Bench:
    """What all searches share: the table, its model and the budgets."""

    def __init__(
        self, settings: Settings, target: Target, arguments: argparse.Namespace, folder: Path
    ) -> None:
        self.settings = settings
        self.target = target
        self.folder = folder
        self.space = open_space(SPACE)
        self.table = load_table(settings, target)
        self.model, _ = find_model(settings, self.table, target, SPACE)
        self.config = (
            ProxylessConfig(warmup_epochs=1, search_epochs=1)
            if arguments.quick
            else ProxylessConfig(warmup_epochs=3, search_epochs=6)
        )
        self.train_epochs = 1

    def budget_ms(self, share: float) -> float:
        """Between the fastest and the slowest network, as the plain table prices them."""
        wide = LatencyMatrix.from_model(self.space, self.model.near(self._middle_ms()))
        low, high = wide.fastest()[1], wide.slowest()[1]
        return float(f"{low + share * (high - low):.3g}")

    def _middle_ms(self) -> float:
        return float(np.median(list(self.table.networks.values())))


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
