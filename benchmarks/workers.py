"""How much sooner several workers score a pool than one process, and that they find the same.

The pool is of ``mobile-tiny``, scored by the default of ``lutier search knas`` on one batch of
digits. Two processes, then a Ray cluster of two nodes on this machine (extra ``cluster``), of one
CPU each, then the same with a node killed half way. Every score has to be that of one process. What
starts before the first score is counted apart: processes import torch, Ray is sent the packages.

    python benchmarks/workers.py --json workers.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _reporting import finish, header

from search.architecture import Architecture
from search.data import fetch, open_data
from search.parallel.base import InProcess, Workers
from search.parallel.cluster import RayCluster
from search.parallel.processes import Processes
from search.parallel.testing import MISSING, has_ray, two_nodes
from search.scoring import DEFAULT_SCORE, Scored, ScoreRule, ScoreWork
from search.spaces.mobile import mobile_tiny

Found = dict[Architecture, Scored]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="40 networks")
    arguments = parser.parse_args()
    count = 40 if arguments.quick else arguments.networks
    document = header("workers", seed=arguments.seed)
    torch.set_num_threads(1)
    space = mobile_tiny()
    data = open_data("digits", space.input_shape, arguments.seed)
    inputs, targets = fetch(data.train, torch.arange(32))
    names = ScoreRule.parse(DEFAULT_SCORE).names
    work = ScoreWork(space, names, inputs, targets, arguments.seed)
    generator = np.random.default_rng(arguments.seed)
    networks = list(dict.fromkeys(space.sample(generator) for _ in range(count)))
    print(f"  {len(networks)} networks of {space.name} by {DEFAULT_SCORE}")
    alone, first = scored(InProcess(), work, networks)
    rows = [row("one process", first, first, is_same=True)]
    found, seconds = scored(Processes(2), work, networks)
    rows.append(row("two processes", seconds, first, is_same=found == alone))
    if has_ray():
        rows += ray_rows(work, networks, alone, first)
    else:
        print(f"  SKIPPED: a Ray cluster: {MISSING}")
    finish({**document, "networks": len(networks), "results": rows}, arguments.json)
    return 0 if all(each["same"] for each in rows) else 1


def ray_rows(
    work: ScoreWork, networks: list[Architecture], alone: Found, first: dict[str, float]
) -> list[dict[str, Any]]:
    import ray

    rows = []
    with two_nodes() as nodes, RayCluster(nodes.address) as workers:
        nodes.wait_for_both(ray)
        # Both nodes unpack the packages and import torch once.
        list(workers.results(work, networks[:4]))
        for name, half in (
            ("Ray, two nodes", None),
            ("Ray, one of two nodes killed half way", nodes.kill_second),
        ):
            found, seconds = scored(workers, work, networks, half)
            rows.append(row(name, seconds, first, is_same=found == alone))
    return rows


def scored(
    workers: Workers,
    work: ScoreWork,
    networks: list[Architecture],
    half: Callable[[], None] | None = None,
) -> tuple[Found, dict[str, float]]:
    """Scores, and seconds in all and from the first score to the last.

    Args:
        half: called when half of them are there.
    """
    found: Found = {}
    start = begun = time.perf_counter()
    with closing(workers.results(work, networks)) as results:
        for index, one in results:
            if not found:
                begun = time.perf_counter()
            found[networks[index]] = one
            if half is not None and len(found) == len(networks) // 2:
                half()
    end = time.perf_counter()
    return found, {"all": end - start, "scoring": end - begun}


def row(
    name: str, seconds: dict[str, float], first: dict[str, float], *, is_same: bool
) -> dict[str, Any]:
    speedup = {kind: first[kind] / seconds[kind] for kind in seconds}
    print(
        f"  {name}: {seconds['all']:.1f} s, {speedup['all']:.2f} times as fast;"
        f" from the first score on {seconds['scoring']:.1f} s, {speedup['scoring']:.2f} times;"
        f" {'the same scores' if is_same else 'OTHER SCORES'}",
        flush=True,
    )
    return {"workers": name, "seconds": seconds, "speedup": speedup, "same": is_same}


if __name__ == "__main__":
    sys.exit(main())
