"""What a supernet costs to train as its blocks get more candidates, beside one plain network.

Weights are trained on one path at a time, so a step should cost what one network costs, however
many candidates there are beside it. Architecture parameters are trained on two candidates of each
block (``two``) or on all, whose outputs are kept (``full``) or made one by one (``recompute``).

**Time** is compared within rounds, on the same path: a step of the supernet, and one of a network
built on its own. At the start of a search every candidate is as likely to be active as any other,
so each candidate of each block is active in exactly one of a supernet's paths, and what is compared
is the average path with its average rest. Rows *light path* are the hardest case instead: only
kernels 3 and 5 with expansion 3 are active, beside ten candidates that are up to four times as
costly, over a plain network as small. They are shown and not judged: no search stays there.

**Memory** is compared on the same light paths at all counts, so that nothing differs but the
candidates beside them, most of which are wider than the active ones. ``full`` keeps the outputs of
all candidates, so it grows by its nature, and is not judged.

Time is CPU time of the one thread that computes; others on the machine slow it less than that on
the clock. The C library is told to keep what is freed: fetching it anew from the system, page by
page, can take as long as the step, and hits now one kind of step and now the other.

    python benchmarks/supernet_cost.py --json supernet_cost.json
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _reporting import finish, header
from _supernets import (
    COUNTS,
    FULL,
    PLAIN,
    RECOMPUTE,
    TWO,
    WEIGHTS,
    Draw,
    alpha_step,
    even_draws,
    light_draws,
    plain_step,
    space_of,
    weight_step,
)
from gradient_kernel import MEBIBYTE, LiveBytes, one_thread, quartiles, verdict

from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny
from search.supernet import Supernet
from search.train import placed

MOST = COUNTS[-1]
MAX_MEMORY = 1.15
MAX_TIME = {WEIGHTS: 1.1, TWO: 1.3, RECOMPUTE: 3.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--setting",
        nargs="+",
        choices=sorted(SETTINGS),
        default=list(SETTINGS),
        help="mobile-tiny: 32x32, batch 32; mobile-96: 96x96, batch 16, 21 blocks",
    )
    parser.add_argument("--rounds", type=int, help="default: 24 of mobile-tiny, 12 of mobile-96")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="mobile-tiny, batch 4, 2 rounds, no bound on the time"
    )
    arguments = parser.parse_args()
    document = header("supernet_cost", seed=arguments.seed)
    keep_freed_memory()
    results: dict[str, Any] = {}
    is_met = True
    with one_thread():
        for name in ["mobile-tiny"] if arguments.quick else arguments.setting:
            setting = SETTINGS[name]
            batch = 4 if arguments.quick else setting.batch
            rounds = 2 if arguments.quick else arguments.rounds or setting.rounds
            blocks = len(setting.base.blocks)
            print(f"\n{name}: {blocks} blocks, batch {batch}, 1 thread, {rounds} shuffled rounds\n")
            rows = measure(setting.base, batch, rounds, arguments.seed)
            show(rows)
            bounds = judge(rows)
            print()
            for bound in bounds:
                print(f"{bound.claim}: {bound.worst:.3f}, {verdict(bound.met)}")
            is_met &= all(bound.met or (arguments.quick and bound.is_time) for bound in bounds)
            results[name] = {
                "blocks": blocks,
                "batch": batch,
                "rounds": rounds,
                "steps": {row.name: asdict(row) for row in rows},
                "bounds": [{**asdict(bound), "met": bound.met} for bound in bounds],
            }
    finish({**document, "results": results}, arguments.json)
    return 0 if is_met else 1


@dataclass(frozen=True)
class Setting:
    """Shapes of the blocks, images a step, and how often each step is timed."""

    base: ChainSpace
    batch: int
    rounds: int


SETTINGS = {
    "mobile-tiny": Setting(mobile_tiny(), 32, 24),
    "mobile-96": Setting(mobile(resolution=96), 16, 12),
}


def keep_freed_memory() -> None:
    """Have glibc hand nothing back to the system; other C libraries stay as they are."""
    trim_threshold, mmap_max = -1, -4
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    is_kept = mallopt is not None and mallopt(trim_threshold, 2**31 - 1) and mallopt(mmap_max, 0)
    print(f"  memory that is freed is {'kept' if is_kept else 'left to the C library'}")


@dataclass(frozen=True)
class Case:
    """A kind of step.

    Attributes:
        kind: the plain network, weights or one of the ways of the alphas.
        count: of candidates a block.
        is_light: whether its paths are the light ones.
        draws: that are timed, in turn.
        parameters: of the module that is stepped.
        step: runs one step.
    """

    kind: str
    count: int
    is_light: bool
    draws: list[Draw]
    parameters: int
    step: Callable[[Draw], None]

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.count} candidates" + ", light path" * self.is_light


def make_cases(base: ChainSpace, batch: int, seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    inputs = placed(torch.randn(batch, *base.input_shape, generator=generator), "cpu")
    labels = torch.randint(base.classes, (batch,), generator=generator)
    blocks = len(base.blocks)
    cases = []
    for count in COUNTS:
        space = space_of(count, base)
        net = Supernet(space, seed)
        net.to(memory_format=torch.channels_last)
        size = sum(parameter.numel() for parameter in net.parameters())
        kinds: dict[str, Callable[[Draw], None]] = {WEIGHTS: weight_step(net, inputs, labels)}
        for kind in (TWO, FULL, RECOMPUTE):
            kinds[kind] = alpha_step(net, kind, count, inputs, labels)
        for is_light in (False, True):
            draws = (light_draws if is_light else even_draws)(count, blocks, seed)
            plain_size, plain = plain_step(space, draws, inputs, labels, seed)
            cases.append(Case(PLAIN, count, is_light, draws, plain_size, plain))
            cases += [
                Case(kind, count, is_light, draws, size, step) for kind, step in kinds.items()
            ]
    return cases


@dataclass(frozen=True)
class Row:
    """What a kind of step costs.

    Attributes:
        name: of the step.
        kind: of the step.
        count: of candidates a block.
        is_light: whether paths are the light ones.
        parameters: of the module that is stepped.
        seconds: median.
        over_plain: lower quartile, median and upper quartile of the times over those of the plain
            network of the same path, within rounds.
        peak_mebibytes: on light paths.
        peak_over_two: that over the peak of 2 candidates.
        peak_over_plain: that over the peak of the plain network.
    """

    name: str
    kind: str
    count: int
    is_light: bool
    parameters: int
    seconds: float
    over_plain: list[float]
    peak_mebibytes: float
    peak_over_two: float
    peak_over_plain: float


def measure(base: ChainSpace, batch: int, rounds: int, seed: int) -> list[Row]:
    cases = make_cases(base, batch, seed)
    timed = [case for case in cases if not case.is_light or case.count == MOST]
    seconds = measure_time(timed, rounds, seed)
    peaks = {(case.kind, case.count): peak_of(case) for case in cases if case.is_light}
    rows = []
    for case in timed:
        plain = seconds[PLAIN, case.count, case.is_light]
        mine = seconds[case.kind, case.count, case.is_light]
        peak = peaks[case.kind, case.count]
        rows.append(
            Row(
                case.name,
                case.kind,
                case.count,
                case.is_light,
                case.parameters,
                statistics.median(mine),
                quartiles([one / other for one, other in zip(mine, plain, strict=True)]),
                peak,
                peak / peaks[case.kind, COUNTS[0]],
                peak / peaks[PLAIN, case.count],
            )
        )
    return rows


def measure_time(
    cases: list[Case], rounds: int, seed: int
) -> dict[tuple[str, int, bool], list[float]]:
    """CPU seconds of each step in common rounds, shuffled; of one count on one path a round."""
    shuffle = np.random.default_rng(seed)
    for case in cases:
        # What an optimizer keeps is made at the first step.
        for draw in case.draws if case.kind in (PLAIN, WEIGHTS) else case.draws[:1]:
            case.step(draw)
    seconds: dict[tuple[str, int, bool], list[float]] = {
        (case.kind, case.count, case.is_light): [] for case in cases
    }
    for round_ in range(rounds):
        for i in shuffle.permutation(len(cases)):
            case = cases[i]
            draw = case.draws[round_ % len(case.draws)]
            start = time.process_time()
            case.step(draw)
            seconds[case.kind, case.count, case.is_light].append(time.process_time() - start)
    return seconds


def peak_of(case: Case) -> float:
    """Peak of tensor bytes alive during a step in MiB, beyond what was alive before it.

    So activations and the gradients of the path that runs, but neither parameters nor the state of
    optimizers, which an earlier step has made.
    """
    found = []
    for draw in case.draws:
        case.step(draw)
        with LiveBytes() as memory:
            case.step(draw)
        found.append(memory.peak / MEBIBYTE)
    return statistics.median(found)


@dataclass(frozen=True)
class Bound:
    """What is claimed of some steps, and the worst of their figures."""

    claim: str
    worst: float
    limit: float
    is_time: bool

    @property
    def met(self) -> bool:
        return self.worst <= self.limit


def judge(rows: list[Row]) -> list[Bound]:
    """The bounds of one setting."""
    bounds = []
    for kind, limit in MAX_TIME.items():
        ratios = [row.over_plain[1] for row in rows if row.kind == kind and not row.is_light]
        where = "all counts"
        if kind == RECOMPUTE:
            ratios, where = ratios[-1:], f"{MOST} candidates"
        claim = f"time of {kind}, {where}, at most {limit} times the plain network's"
        bounds.append(Bound(claim, max(ratios), limit, True))
    for kind in (WEIGHTS, TWO, RECOMPUTE):
        peak = max(row.peak_over_two for row in rows if row.kind == kind)
        claim = f"memory of {kind}, all counts, at most {MAX_MEMORY} times that of {COUNTS[0]}"
        bounds.append(Bound(claim, peak, MAX_MEMORY, False))
    return bounds


def show(rows: list[Row]) -> None:
    """Print what was found."""
    print("times are medians, ratios medians (quartiles) of those within a round, on the same path")
    print(
        "memory is tensors alive at the peak, parameters and optimizer state apart, light paths\n"
    )
    print(
        f"{'step':44s}{'parameters':>12s}{'time':>10s}{'over plain':>24s}"
        f"{'memory':>13s}{'over 2':>8s}{'over plain':>12s}"
    )
    for row in rows:
        low, middle, high = row.over_plain
        print(
            f"{row.name:44s}{row.parameters:12,}{1e3 * row.seconds:7.1f} ms"
            f"{middle:9.3f} ({low:.2f} to {high:.2f})"
            f"{row.peak_mebibytes:9.2f} MiB{row.peak_over_two:8.3f}{row.peak_over_plain:12.3f}"
        )


if __name__ == "__main__":
    sys.exit(main())
