"""What a step of a supernet takes of a GPU's memory as its blocks get more candidates.

Peaks of ``torch.cuda.max_memory_allocated`` during a step, weights, gradients and workspaces among
it, beside what is allocated before it: all candidates' weights and the state of their optimizers.
The supernets are those of ``supernet_cost.py``; the steps, here too, take the same paths among the
first two candidates of each block.

    python benchmarks/supernet_memory_cuda.py --json supernet_memory_cuda.json
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from _reporting import finish, header
from _supernets import COUNTS, paths_of, space_of, train_step

from search.alpha_steps import update_alphas
from search.supernet import Members, Supernet
from search.train import build_network, placed, sgd

MAX_RATIO = 1.1
KINDS = ("weights", "alphas two", "alphas full", "alphas recompute")
PLAIN = "plain network"
_MEBIBYTE = 2**20
Step = Callable[[list[int]], None]


@dataclass(frozen=True)
class Row:
    """What a kind of step costs.

    Attributes:
        name: of the step.
        candidates: in each block; 1 for a plain network.
        resident_mebibytes: allocated before the step.
        step_mebibytes: allocated beyond that at the peak of a step, median over paths.
    """

    name: str
    candidates: int
    resident_mebibytes: float
    step_mebibytes: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="small batch")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("nothing measured: needs an NVIDIA GPU and a CUDA build of torch")
        return 0
    if arguments.quick:
        arguments.batch = 16
    document = header("supernet_memory_cuda", seed=arguments.seed)
    gpu = torch.cuda.get_device_properties(arguments.device).name
    print(f"  {gpu}, {len(space_of(2).blocks)} blocks, batch {arguments.batch}\n")
    print(f"{'step':16s}  candidates    resident  during a step  over 2")
    rows: list[Row] = []
    first: dict[str, Row] = {}
    for kind, count in [(PLAIN, 1), *itertools.product(KINDS, COUNTS)]:
        row = measure(kind, count, arguments)
        rows.append(row)
        ratio = row.step_mebibytes / first.setdefault(kind, row).step_mebibytes
        print(
            f"{row.name:16s}  {row.candidates:10d}  {row.resident_mebibytes:6.1f} MiB"
            f"  {row.step_mebibytes:9.1f} MiB  {ratio:6.3f}"
        )
    widest = next(row for row in reversed(rows) if row.name == "weights")
    is_light = widest.step_mebibytes <= MAX_RATIO * first["weights"].step_mebibytes
    claim = f"a weight step at {COUNTS[-1]} candidates takes at most {MAX_RATIO} times that at 2"
    print(f"\n{claim}: {'met' if is_light else 'MISSED'}")
    results = {"gpu": gpu, "batch": arguments.batch, "steps": [asdict(row) for row in rows]}
    finish({**document, "results": results}, arguments.json)
    return 0 if is_light else 1


def measure(name: str, candidates: int, arguments: argparse.Namespace) -> Row:
    """One kind of step, alone on the GPU."""
    device, cuda = arguments.device, torch.cuda
    generator = torch.Generator().manual_seed(arguments.seed)
    space = space_of(max(candidates, 2))
    inputs = placed(torch.randn(arguments.batch, *space.input_shape, generator=generator), device)
    labels = torch.randint(10, (arguments.batch,), generator=generator).to(device)
    paths = paths_of(len(space.blocks), arguments.seed)
    if name == PLAIN:
        paths = paths[:1]
        step = plain_step(paths[0], inputs, labels, arguments.seed)
    else:
        step = supernet_step(name, candidates, inputs, labels, arguments.seed)
    # Gradients, the state of optimizers and cuDNN's workspaces come with the first steps.
    for path in paths:
        step(path)
    gc.collect()
    cuda.synchronize(device)
    resident = cuda.memory_allocated(device)
    peaks = []
    for path in paths:
        cuda.reset_peak_memory_stats(device)
        step(path)
        cuda.synchronize(device)
        peaks.append(cuda.max_memory_allocated(device) - resident)
    return Row(
        name,
        candidates,
        resident / _MEBIBYTE,
        statistics.median(peaks) / _MEBIBYTE,
    )


def plain_step(path: list[int], inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> Step:
    """A network built on its own, so that nothing of a supernet is in the way."""
    space = space_of(2)
    network = build_network(space, space.architecture(path), seed)
    network.to(inputs.device).to(memory_format=torch.channels_last)
    optimizer = sgd(network.parameters(), 0.01, 0.9, 0.0)
    return lambda _: train_step(lambda: network(inputs), labels, optimizer)


def supernet_step(
    kind: str, candidates: int, inputs: torch.Tensor, labels: torch.Tensor, seed: int
) -> Step:
    net = Supernet(space_of(candidates), seed)
    net.to(inputs.device).to(memory_format=torch.channels_last)
    if kind == "weights":
        optimizer = sgd(net.weight_parameters(), 0.01, 0.9, 0.0)
        return lambda path: train_step(lambda: net(inputs, path), labels, optimizer)
    alphas = torch.optim.Adam(net.architecture_parameters(), lr=1e-3, betas=(0.0, 0.999))

    def step(path: list[int]) -> None:
        members: list[Members] = [
            (choice, 1 - choice)
            if kind == "alphas two"
            else (choice, *(i for i in range(candidates) if i != choice))
            for choice in path
        ]
        logits, gates = net.forward_gates(inputs, members, recompute=kind == "alphas recompute")
        gradients = torch.autograd.grad(F.cross_entropy(logits, labels), gates)
        update_alphas(net, members, gradients, alphas)

    return step


if __name__ == "__main__":
    sys.exit(main())
