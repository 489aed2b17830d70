"""What a supernet costs to train as its blocks get more candidates.

Weights are trained on one path at a time, so a step should cost what one network costs, however
many candidates there are beside it. Architecture parameters are trained on two candidates of each
block (``two``) or on all, whose outputs are kept (``full``) or made one by one (``recompute``).
Supernets of 2, 4, 8 and 12 candidates a block, of which the first two are the same everywhere, take
the same steps on the same paths among those two, beside a plain network: the only thing that
differs is how many candidates there are beside them.

    python benchmarks/supernet_cost.py --json supernet_cost.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from _reporting import finish, header
from gradient_kernel import MEBIBYTE, LiveBytes, one_thread, quartiles, verdict
from torch import nn

from profiler.ops import OpSpec
from search.alpha_steps import update_alphas
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile_tiny
from search.supernet import Members, Supernet
from search.train import build_network, placed, sgd

COUNTS = (2, 4, 8, 12)
MAX_RATIO = 1.1
KERNELS_AND_EXPANSIONS = [(kernel, expand) for expand in (3, 6, 4) for kernel in (3, 5, 7, 9)]
PLAIN = "plain network"
ALPHAS = ("alphas two", "alphas full", "alphas recompute")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="small batch, few rounds, no bound on the time"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch, arguments.rounds = 4, 3
    document = header("supernet_cost", seed=arguments.seed)
    with one_thread():
        cases = make_cases(arguments.batch, arguments.seed)
        blocks = len(mobile_tiny().blocks)
        print(
            f"  {blocks} blocks of mobile-tiny's shapes, batch {arguments.batch}, 1 thread,"
            f" {arguments.rounds} shuffled rounds"
        )
        seconds = measure_time(cases, blocks, arguments.rounds, arguments.seed)
        peaks = measure_memory(cases, blocks, arguments.seed)
    rows = [Row.of(case, seconds, peaks) for case in cases]
    show(rows)
    widest = next(row for row in rows if row.name == name_of("weights", COUNTS[-1]))
    is_light = widest.peak_over_two <= MAX_RATIO
    is_quick = widest.time_over_two[1] <= MAX_RATIO
    claim = f"weight step at {COUNTS[-1]} candidates at most {MAX_RATIO} times that at {COUNTS[0]}"
    print(f"\n{claim}: memory {verdict(is_light)}, time {verdict(is_quick)}")
    result = {
        "batch": arguments.batch,
        "rounds": arguments.rounds,
        "steps": {row.name: row.__dict__ for row in rows},
        "met": {"memory": is_light, "time": is_quick},
    }
    finish({**document, "results": result}, arguments.json)
    return 0 if is_light and (is_quick or arguments.quick) else 1


def name_of(kind: str, count: int) -> str:
    return f"{kind}, {count} candidates"


@dataclass(frozen=True)
class Case:
    """A kind of step.

    Attributes:
        name: of the row.
        kind: ``plain``, ``weights`` or one of ``ALPHAS``; ratios are to 2 candidates of the same
            kind.
        parameters: of the module that is stepped.
        step: runs one step on a path among the first two candidates of each block.
    """

    name: str
    kind: str
    parameters: int
    step: Callable[[list[int]], None]


def space_of(count: int) -> ChainSpace:
    """The shapes of mobile-tiny, with ``count`` inverted residual candidates in every block."""
    base = mobile_tiny()
    blocks = []
    for block in base.blocks:
        first = block[0]
        blocks.append(
            tuple(
                OpSpec.make(
                    "mbconv",
                    first.input_shape,
                    out=first.integer("out"),
                    kernel=kernel,
                    stride=first.integer("stride"),
                    expand=expand,
                )
                for kernel, expand in KERNELS_AND_EXPANSIONS[:count]
            )
        )
    return ChainSpace(f"wide-{count}", base.stem, tuple(blocks), base.head)


def make_cases(batch: int, seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    inputs = placed(torch.randn(batch, *space_of(2).input_shape, generator=generator), "cpu")
    labels = torch.randint(10, (batch,), generator=generator)
    cases = [plain_case(inputs, labels, seed)]
    for count in COUNTS:
        net = Supernet(space_of(count), seed)
        net.to(memory_format=torch.channels_last)
        size = sum(parameter.numel() for parameter in net.parameters())
        cases.append(weight_case(net, size, count, inputs, labels))
        cases += [alpha_case(net, size, count, inputs, labels, kind) for kind in ALPHAS]
    return cases


def train_step(
    model: Callable[[], torch.Tensor], labels: torch.Tensor, optimizer: torch.optim.Optimizer
) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(), labels).backward()
    optimizer.step()
    optimizer.zero_grad()


def plain_case(inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> Case:
    """Networks built on their own, one a path, so that nothing of a supernet is in the way."""
    space = space_of(2)
    networks: dict[tuple[int, ...], tuple[nn.Module, torch.optim.Optimizer]] = {}
    size = space.build(space.architecture([0] * len(space.blocks)))

    def step(path: list[int]) -> None:
        network, optimizer = networks[tuple(path)]
        train_step(lambda: network(inputs), labels, optimizer)

    for path in paths_of(len(space.blocks), seed):
        network = build_network(space, space.architecture(path), seed)
        network.to(memory_format=torch.channels_last)
        networks[tuple(path)] = network, sgd(network.parameters(), 0.01, 0.9, 0.0)
    return Case(PLAIN, "plain", sum(p.numel() for p in size.parameters()), step)


def weight_case(
    net: Supernet, size: int, count: int, inputs: torch.Tensor, labels: torch.Tensor
) -> Case:
    optimizer = sgd(net.weight_parameters(), 0.01, 0.9, 0.0)

    def step(path: list[int]) -> None:
        train_step(lambda: net(inputs, path), labels, optimizer)

    return Case(name_of("weights", count), "weights", size, step)


def alpha_case(
    net: Supernet, size: int, count: int, inputs: torch.Tensor, labels: torch.Tensor, kind: str
) -> Case:
    optimizer = torch.optim.Adam(net.architecture_parameters(), lr=1e-3, betas=(0.0, 0.999))

    def step(path: list[int]) -> None:
        if kind == "alphas two":
            members: list[Members] = [(choice, 1 - choice) for choice in path]
        else:
            members = [(choice, *(i for i in range(count) if i != choice)) for choice in path]
        logits, gates = net.forward_gates(inputs, members, recompute=kind == "alphas recompute")
        gradients = torch.autograd.grad(F.cross_entropy(logits, labels), gates)
        update_alphas(net, members, gradients, optimizer)

    return Case(name_of(kind, count), kind, size, step)


def paths_of(blocks: int, seed: int) -> list[list[int]]:
    """A few paths among the first two candidates; every kind of step takes each in turn."""
    return np.random.default_rng(seed).integers(2, size=(4, blocks)).tolist()


def measure_time(cases: list[Case], blocks: int, rounds: int, seed: int) -> dict[str, list[float]]:
    """Seconds of each step in common rounds, shuffled; the path is the same within a round."""
    shuffle = np.random.default_rng(seed)
    paths = paths_of(blocks, seed)
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    for path in paths:
        for case in cases:
            case.step(path)
    for round_ in range(rounds):
        for i in shuffle.permutation(len(cases)):
            start = time.perf_counter()
            cases[i].step(paths[round_ % len(paths)])
            seconds[cases[i].name].append(time.perf_counter() - start)
    return seconds


def measure_memory(cases: list[Case], blocks: int, seed: int) -> dict[str, float]:
    """Peak of tensor bytes alive during a step in MiB, beyond what was alive before it.

    So activations and the gradients of the path that runs, but neither parameters nor the state of
    optimizers, which earlier steps have made.
    """
    peaks: dict[str, float] = {}
    for case in cases:
        found = []
        for path in paths_of(blocks, seed):
            with LiveBytes() as memory:
                case.step(path)
            found.append(memory.peak / MEBIBYTE)
        peaks[case.name] = statistics.median(found)
    return peaks


@dataclass(frozen=True)
class Row:
    """What a kind of step costs; ratios are medians of ratios within rounds, with quartiles."""

    name: str
    parameters: int
    seconds: float
    time_over_two: list[float]
    time_over_plain: list[float]
    peak_mebibytes: float
    peak_over_two: float
    peak_over_plain: float

    @classmethod
    def of(cls, case: Case, seconds: dict[str, list[float]], peaks: dict[str, float]) -> Row:
        two = case.name if case.kind == "plain" else name_of(case.kind, COUNTS[0])

        def over(name: str) -> list[float]:
            pairs = zip(seconds[case.name], seconds[name], strict=True)
            return quartiles([mine / other for mine, other in pairs])

        return cls(
            case.name,
            case.parameters,
            statistics.median(seconds[case.name]),
            over(two),
            over(PLAIN),
            peaks[case.name],
            peaks[case.name] / peaks[two],
            peaks[case.name] / peaks[PLAIN],
        )


def show(rows: list[Row]) -> None:
    """Print what was found."""
    print("\nmemory: tensors alive at the peak of a step, parameters and optimizer state apart")
    print("times are medians over rounds, ratios medians (quartiles) of ratios within a round\n")
    print(
        "step                              parameters       time  over 2 candidates      over plain"
        "            memory  over 2  over plain"
    )
    for row in rows:
        two, plain = row.time_over_two, row.time_over_plain
        print(
            f"{row.name:31s} {row.parameters:12,} {1e3 * row.seconds:7.1f} ms"
            f"  {two[1]:.3f} ({two[0]:.2f} to {two[2]:.2f})"
            f"  {plain[1]:.3f} ({plain[0]:.2f} to {plain[2]:.2f})"
            f"  {row.peak_mebibytes:8.2f} MiB"
            f"  {row.peak_over_two:6.3f}  {row.peak_over_plain:10.3f}"
        )


if __name__ == "__main__":
    sys.exit(main())
