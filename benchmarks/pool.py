"""Pools within a budget: uniform over exactly the networks there are, and quick where few are.

Uniformity: small spaces are listed by brute force, pools are drawn from them over and over, and how
often each network came is held against chance by a chi-square test. Sets this small would be listed
by the pool too; that is switched off, so that they are drawn as large ones are.

Speed: budgets for the space ``mobile`` that fewer than one in 10^9 networks meets. Latencies follow
the FLOPs of each op, with noise, as no table of a device is needed. Beside it stands how long
drawing architectures until one is within the budget would take, by how many can be drawn and priced
in a second.

    python benchmarks/pool.py --json pool.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from _reporting import finish, header
from scipy.stats import chi2

from profiler.ops import OpSpec
from search import pool as pool_module
from search.expected_latency import LatencyMatrix
from search.pool import Pool, sample_pool
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile

SEEDS = 5
WANTED = 1_000
POOL = 5
SHARE = 1e-9
LEAST_P = 1e-4
CASES = (((3, 3, 3), 0.6), ((3, 3, 2, 2), 0.5), ((2, 2, 2, 2, 2), 0.7), ((3, 3, 2, 2, 2), 0.6))
"""Convolutions to choose from in each block, and the budget's place from fastest to slowest."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="fewer draws, one seed")
    arguments = parser.parse_args()
    document = header("pool", seed=arguments.seed)
    uniform = [
        uniformity(widths, share, arguments.seed + i, 40 if arguments.quick else 400)
        for i, (widths, share) in enumerate(CASES)
    ]
    rare = [rarity(arguments.seed + i) for i in range(1 if arguments.quick else SEEDS)]
    finish({**document, "uniformity": uniform, "speed": rare}, arguments.json)
    failed = [row for row in uniform if row["p"] < LEAST_P]
    failed += [row for row in rare if row["distinct"] < WANTED or row["over_budget"]]
    if failed:
        print(f"error: {len(failed)} of the rows above are not as they must be", file=sys.stderr)
    return 1 if failed else 0


def latencies(space: ChainSpace, seed: int) -> LatencyMatrix:
    """0.02 ms an op and 1 ms for 10^8 FLOPs, each off by up to 30 per cent."""
    generator = np.random.default_rng(seed)
    ops_ms = {op: (0.02 + op.flops / 1e8) * generator.uniform(0.7, 1.3) for op in space.all_ops()}
    blocks = tuple(tuple(ops_ms.get(op, 0.0) for op in block) for block in space.blocks)
    return LatencyMatrix(space, 0.1, blocks)


def small_space(widths: tuple[int, ...]) -> ChainSpace:
    """Blocks of so many convolutions that may be skipped; those of one number are equal."""
    shape = (4, 8, 8)
    convolutions = [OpSpec.make("conv", shape, out=4, kernel=2 * j + 1) for j in range(12)]
    skip = OpSpec.make("identity", shape)
    blocks = tuple(
        (*convolutions[3 * (width - 2) : 3 * (width - 2) + width], skip) for width in widths
    )
    pool = OpSpec.make("global_avg_pool", shape)
    head = (pool, OpSpec.make("linear", pool.output_shape, out=5))
    return ChainSpace("small", (convolutions[0],), blocks, head)


def uniformity(widths: tuple[int, ...], share: float, seed: int, draws: int) -> dict[str, Any]:
    """Chi-square of how often each network came, over all that brute force finds."""
    space = small_space(widths)
    matrix = latencies(space, seed)
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    budget_ms = fastest_ms + share * (slowest_ms - fastest_ms)
    networks: dict[tuple[Any, ...], float] = {}
    every = list(space.enumerate())
    for architecture, ms in zip(every, matrix.price(every), strict=True):
        if ms <= budget_ms:
            networks[network_of(space, architecture.choices)] = float(ms)
    generator = np.random.default_rng(seed)
    before = pool_module._LISTED
    pool_module._LISTED = 0
    try:
        pools = [
            sample_pool(matrix, budget_ms, POOL, generator)
            for _ in range(draws * len(networks) // POOL + 1)
        ]
    finally:
        pool_module._LISTED = before
    seen = Counter(network_of(space, a.choices) for pool in pools for a in pool.architectures)
    strangers = len(seen.keys() - networks.keys())
    total, n = seen.total(), len(networks)
    statistic = sum((seen[network] - total / n) ** 2 / (total / n) for network in networks)
    # Several without replacement spread less than chi-square: by (n - POOL) / (n - 1).
    statistic *= (n - 1) / (n - POOL)
    p = 0.0 if strangers else float(chi2.sf(statistic, n - 1))
    print(
        f"  uniform: {space.size:,} architectures, {n:,} networks within {budget_ms:.3f} ms,"
        f" {total:,} draws: chi-square {statistic:.0f} of {n - 1}, p {p:.3f},"
        f" {strangers} that are none of them"
    )
    return {
        "space": space.size,
        "networks": n,
        "draws": total,
        "chi_square": statistic,
        "p": p,
        "strangers": strangers,
    }


def network_of(space: ChainSpace, choices: tuple[int, ...]) -> tuple[Any, ...]:
    """The ops of a network, without those it has no node for: the same for the same network."""
    chosen = (block[j] for block, j in zip(space.blocks, choices, strict=True))
    return tuple(op.key for op in chosen if not op.is_free)


def rarity(seed: int) -> dict[str, Any]:
    """A pool within a budget that fewer than one in 10^9 networks meets."""
    space = mobile()
    matrix = latencies(space, seed)
    low_ms, high_ms = matrix.fastest()[1], matrix.slowest()[1]
    for _ in range(40):
        budget_ms = (low_ms + high_ms) / 2
        if share_of(drawn(matrix, budget_ms, 1, seed)) < SHARE:
            low_ms = budget_ms
        else:
            high_ms = budget_ms
    budget_ms = low_ms
    start = time.perf_counter()
    pool = drawn(matrix, budget_ms, WANTED, seed)
    seconds = time.perf_counter() - start
    # What drawing at random until it fits would take.
    generator = np.random.default_rng(seed)
    start = time.perf_counter()
    matrix.price(space.sample_choices(1_000_000, generator))
    rate = 1_000_000 / (time.perf_counter() - start)
    share = share_of(pool)
    expected_seconds = WANTED / share / rate
    distinct = len({network_of(space, a.choices) for a in pool.architectures})
    over = int((matrix.price(pool.architectures) > budget_ms).sum())
    print(
        f"  rare: at most one in {1 / share:.2e} of {space.size:.2e} within {budget_ms:.4f} ms:"
        f" {distinct:,} different networks in {seconds:.2f} s, {over} over the budget;"
        f" by chance, at {rate / 1e6:.1f} million a second, {expected_seconds:,.0f} s:"
        f" {expected_seconds / seconds:,.0f} times as long"
    )
    return {
        "share": share,
        "budget_ms": budget_ms,
        "distinct": distinct,
        "over_budget": over,
        "seconds": seconds,
        "rejection_seconds": expected_seconds,
        "ratio": expected_seconds / seconds,
    }


def drawn(matrix: LatencyMatrix, budget_ms: float, count: int, seed: int) -> Pool:
    return sample_pool(matrix, budget_ms, count, np.random.default_rng(seed))


def share_of(pool: Pool) -> float:
    """Of the space, at most."""
    return pool.admissible_at_most / pool.space_size


if __name__ == "__main__":
    sys.exit(main())
