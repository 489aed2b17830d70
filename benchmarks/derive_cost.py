"""How long it takes to find the likeliest network within a budget, and whether it is that one.

The space is the one of ProxylessNAS, with 21 blocks. Latencies are made up but complete; the
log-probabilities are of several sorts, from ones that have nothing to do with latency to ones that
follow it nearly exactly, which is the hardest case: a slower candidate is the likelier one then, in
every block. For each sort there are several problems and budgets all over the range.

Whether what is found is right is compared with a list of all networks, on random small spaces.

    python benchmarks/derive_cost.py --json derive_cost.json
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import numpy as np
from _reporting import finish, header
from gradient_kernel import quartiles, verdict
from throughput import made_up_model

from latency_models.calibration import Calibration
from profiler.ops import OpSpec
from search.derive import derive
from search.expected_latency import LatencyMatrix
from search.pricing import FloatArray
from search.spaces.base import ChainSpace
from search.spaces.registry import open_space

MOST_SECONDS = 0.05
SORTS = {
    "as drawn before a search": (0.0, 1e-3),
    "nothing to do with latency": (0.0, 1.0),
    "follow latency in part": (1.0, 1.0),
    "follow latency to a hundredth": (1.0, 0.01),
}
"""How much of each log-probability is latency, in units of its spread, and how much is chance."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Budgets, from the fastest network's latency (0) to the slowest one's (1)."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--problems", type=int, default=40, help="of each sort")
    parser.add_argument("--small-spaces", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="few problems, and no bound on the time"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.problems, arguments.small_spaces = 2, 20
    # What is only nearly exact is counted below, not printed.
    logging.getLogger("lutier.search").addHandler(_Counter.only())
    document = header("derive_cost", seed=arguments.seed)
    generator = np.random.default_rng(arguments.seed)
    space = open_space(arguments.space)
    matrix = LatencyMatrix.from_model(space, made_up_model(space, Calibration(constant_ms=0.1)))
    print(f"  {space.name}: {len(space.blocks)} blocks, {space.size:.1e} networks\n")
    print(f"{'log-probabilities':32s} {'median (quartiles), ms':>26s} {'slowest, ms':>12s}")
    seconds: dict[str, list[float]] = {}
    for name, (follow, chance) in SORTS.items():
        seconds[name] = measure(matrix, follow, chance, arguments.problems, generator)
        low, middle, high = (1e3 * each for each in quartiles(seconds[name]))
        spread = f"{middle:8.2f} ({low:.2f} to {high:.2f})"
        print(f"{name:32s} {spread:>26s} {1e3 * max(seconds[name]):12.2f}")
    wrong = sum(not agrees(generator) for _ in range(arguments.small_spaces))
    is_fast = all(max(each) <= MOST_SECONDS for each in seconds.values())
    is_exact = wrong == 0 and _Counter.inexact == 0
    print(f"\nno problem takes more than {1e3 * MOST_SECONDS:g} ms: {verdict(is_fast)}")
    print(
        f"what a list of all networks finds, in {arguments.small_spaces} small spaces, and proven"
        f" in the large one: {verdict(is_exact)} ({wrong} differ, {_Counter.inexact} not proven)"
    )
    result = {
        "space": space.name,
        "problems": arguments.problems * len(SHARES),
        "seconds": {name: quartiles(each) for name, each in seconds.items()},
        "slowest_seconds": {name: max(each) for name, each in seconds.items()},
        "small_spaces": arguments.small_spaces,
        "wrong": wrong,
        "not_proven": _Counter.inexact,
        "met": {"time": is_fast, "exact": is_exact},
    }
    finish({**document, "results": result}, arguments.json)
    return 0 if is_exact and (is_fast or arguments.quick) else 1


class _Counter(logging.Handler):
    """Counts the warnings that a network is not proven to be the likeliest."""

    inexact = 0

    @classmethod
    def only(cls) -> logging.Handler:
        """One for the only logger that is heard here."""
        logging.getLogger("lutier.search").propagate = False
        return cls(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        type(self).inexact += 1


def scores(
    matrix: LatencyMatrix, follow: float, chance: float, generator: np.random.Generator
) -> list[FloatArray]:
    """Log-probabilities of the candidates of each block, ``(candidates,)`` each."""
    spread = np.std([ms for block in matrix.block_ms for ms in block]) or 1.0
    drawn = (
        follow * np.array(block) / spread + chance * generator.normal(size=len(block))
        for block in matrix.block_ms
    )
    return [each - np.log(np.exp(each).sum()) for each in drawn]


def measure(
    matrix: LatencyMatrix,
    follow: float,
    chance: float,
    problems: int,
    generator: np.random.Generator,
) -> list[float]:
    """Seconds of each problem and budget."""
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    found = []
    for _ in range(problems):
        drawn = scores(matrix, follow, chance, generator)
        for share in SHARES:
            budget_ms = fastest_ms + share * (slowest_ms - fastest_ms)
            start = time.perf_counter()
            derive(matrix, drawn, budget_ms)
            found.append(time.perf_counter() - start)
    return found


def agrees(generator: np.random.Generator) -> bool:
    """Whether a list of all networks of a random small space has none that is likelier."""
    widths = generator.integers(1, 6, generator.integers(1, 6))
    convs = [OpSpec.make("conv", (4, 8, 8), out=4, kernel=2 * j + 1) for j in range(5)]
    pool = OpSpec.make("global_avg_pool", (4, 8, 8))
    head = (pool, OpSpec.make("linear", (4,), out=5))
    space = ChainSpace("small", (convs[0],), tuple(tuple(convs[:n]) for n in widths), head)
    latency_ms = [generator.exponential(1, n) for n in widths]
    matrix = LatencyMatrix(space, 0.5, tuple(tuple(block.tolist()) for block in latency_ms))
    drawn = scores(matrix, *generator.permutation([0.0, 1.0]), generator)
    networks = list(space.enumerate())
    prices_ms = matrix.price(networks)
    budget_ms = float(generator.uniform(prices_ms.min(), prices_ms.max()))
    values = np.array(
        [sum(block[j] for block, j in zip(drawn, a.choices, strict=True)) for a in networks]
    )
    found = networks.index(derive(matrix, drawn, budget_ms))
    within = prices_ms <= budget_ms
    return bool(within[found] and values[found] == values[within].max())


if __name__ == "__main__":
    sys.exit(main())
