"""The gradient kernel of KNAS by one backward pass, beside the ways that list per-sample gradients.

For architectures of mobile-tiny, batch norm held at the statistics of the batch: is ``mean_gram``
the mean of the explicit Gram matrix, what does it cost beside one plain forward and backward pass
of the same batch, and what do the other ways cost?

    python benchmarks/gradient_kernel.py --json gradient_kernel.json
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _reporting import finish, header
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from profiler.builders.modules import build_chain
from search.gradient_kernel import Output, mean_gram
from search.spaces.mobile import mobile_tiny

MAX_ERROR = 1e-4
MAX_RATIO = 1.2
PLAIN, ONE = "plain forward and backward", "mean_gram, one backward"
LOOP, FUNC = "loop of single samples", "torch.func per-sample"
NTK = "Gram matrix of all logits"
MEBIBYTE = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--architectures", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15, help="of the two fast ways")
    parser.add_argument("--slow-rounds", type=int, default=3, help="of the others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="2 architectures, small batch, no bound on the time"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.architectures, arguments.batch = 2, 4
        arguments.rounds, arguments.slow_rounds = 3, 1
    document = header("gradient_kernel", seed=arguments.seed)
    with one_thread():
        cases = [draw(i, arguments.batch, arguments.seed) for i in range(arguments.architectures)]
        print(
            f"  mobile-tiny, batch {arguments.batch}, 1 thread,"
            f" {arguments.rounds} rounds ({arguments.slow_rounds} of the slow ways)"
        )
        errors = compare(cases)
        ratios, seconds = measure_time(cases, arguments)
        peaks = measure_memory(cases)
    cost = {case.code: statistics.median(ratios[case.code, ONE]) for case in cases}
    is_equal, is_cheap = max(errors.values()) <= MAX_ERROR, max(cost.values()) <= MAX_RATIO
    show(cases, errors, ratios, seconds, peaks)
    print(f"\nequal to the explicit Gram matrix to {MAX_ERROR:g}: {verdict(is_equal)}")
    print(f"at most {MAX_RATIO} times a plain pass on each architecture: {verdict(is_cheap)}")
    result = {
        "batch": arguments.batch,
        "architectures": {case.code: case.parameters for case in cases},
        "relative_error": {f"{code} {output}": e for (code, output), e in errors.items()},
        "seconds": {way: statistics.median(pooled(seconds, way)) for way in WAYS},
        "times_plain": {way: quartiles(pooled(ratios, way)) for way in WAYS},
        "times_plain_by_architecture": cost,
        "peak_mebibytes": {way: statistics.median(pooled(peaks, way)) for way in WAYS},
        "met": {"equal": is_equal, "cost": is_cheap},
    }
    finish({**document, "results": result}, arguments.json)
    return 0 if is_equal and (is_cheap or arguments.quick) else 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, and on as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Case:
    """One architecture with its batch.

    Attributes:
        code: of the architecture.
        model: freshly initialised, in training mode.
        frozen: a copy in evaluation mode whose running statistics are those of the batch.
        inputs: shape ``(n, 3, 32, 32)``.
        targets: shape ``(n,)``.
    """

    code: str
    model: nn.Module
    frozen: nn.Module
    inputs: torch.Tensor
    targets: torch.Tensor

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())


def draw(index: int, batch: int, seed: int) -> Case:
    """The architecture of that index, its initial weights and a batch of noise."""
    space = mobile_tiny()
    architecture = space.sample(np.random.default_rng((seed, index)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + index)
        model = build_chain(space.ops(architecture))
        inputs = torch.randn(batch, *space.input_shape)
        targets = torch.randint(space.classes, (batch,))
    return Case(architecture.code, model, with_constants_of(model, inputs), inputs, targets)


def with_constants_of(model: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """A copy that normalises with the statistics of the batch, as constants.

    The statistics are rounded as ``mean_gram`` rounds them: the gradient of ReLU6 jumps, and two
    ways of rounding may put an activation on two sides of the jump.
    """
    frozen = copy.deepcopy(model).eval()

    def store(norm: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        mean = args[0].mean((0, 2, 3))
        norm.running_mean = mean
        norm.running_var = (args[0] - mean[:, None, None]).square().mean((0, 2, 3))

    norms = [module for module in frozen.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(store) for norm in norms]
    with torch.no_grad():
        frozen(inputs)
    for hook in hooks:
        hook.remove()
    return frozen


def run_plain(case: Case) -> None:
    case.model.zero_grad()
    F.cross_entropy(case.model(case.inputs), case.targets).backward()


def run_one(case: Case) -> float:
    return mean_gram(case.model, case.inputs)


def mean_of_gram(rows: torch.Tensor) -> float:
    """Mean of all inner products of gradients, shape ``(gradients, parameters)``."""
    return float((rows @ rows.T).mean(dtype=torch.float64))


def run_loop(case: Case) -> float:
    parameters = tuple(case.frozen.parameters())
    rows = torch.empty(len(case.inputs), case.parameters)
    for row, x in zip(rows, case.inputs, strict=True):
        gradients = torch.autograd.grad(case.frozen(x[None]).sum(), parameters)
        torch.cat([gradient.flatten() for gradient in gradients], out=row)
    return mean_of_gram(rows)


Scalar = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def per_sample(case: Case, scalar: Scalar, out: torch.Tensor) -> None:
    """Write the gradient of a scalar of each sample's logits, shape ``(n, parameters)``."""

    def of_one(
        parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        logits = torch.func.functional_call(case.frozen, parameters, (x[None],))
        return scalar(logits, y[None])

    parameters = {name: p.detach() for name, p in case.frozen.named_parameters()}
    every = torch.func.vmap(torch.func.grad(of_one), (None, 0, 0))
    gradients = every(parameters, case.inputs, case.targets)
    torch.cat([gradient.flatten(1) for gradient in gradients.values()], 1, out=out)


def run_func(case: Case) -> float:
    rows = torch.empty(len(case.inputs), case.parameters)
    per_sample(case, lambda logits, _: logits.sum(), rows)
    return mean_of_gram(rows)


def run_ntk(case: Case) -> float:
    """One gradient for each sample and logit; the mean over all their inner products."""
    classes = case.model(case.inputs[:2]).shape[1]
    rows = torch.empty(classes, len(case.inputs), case.parameters)
    for logit in range(classes):
        per_sample(case, lambda logits, _, logit=logit: logits[0, logit], rows[logit])
    return mean_of_gram(rows.flatten(0, 1))


WAYS: dict[str, Callable[[Case], float | None]] = {
    PLAIN: run_plain,
    ONE: run_one,
    LOOP: run_loop,
    FUNC: run_func,
    NTK: run_ntk,
}

Figures = dict[tuple[str, str], list[float]]


def in_float64(case: Case) -> Case:
    model, inputs = copy.deepcopy(case.model).double(), case.inputs.double()
    return replace(case, model=model, frozen=with_constants_of(model, inputs), inputs=inputs)


def compare(cases: list[Case]) -> dict[tuple[str, str], float]:
    """Relative difference of ``mean_gram`` and the mean of the explicit Gram matrix.

    In float32 and float64, for both outputs; the keys name architecture, output and type.
    """
    outputs: dict[Output, Scalar] = {
        "logits": lambda logits, _: logits.sum(),
        "loss": F.cross_entropy,
    }
    errors = {}
    for case in cases:
        for typed in (case, in_float64(case)):
            for output, scalar in outputs.items():
                rows = typed.inputs.new_empty(len(case.inputs), case.parameters)
                per_sample(typed, scalar, rows)
                explicit = mean_of_gram(rows.double())
                score = mean_gram(typed.model, typed.inputs, typed.targets, output)
                name = f"{output} {str(typed.inputs.dtype).removeprefix('torch.')}"
                errors[case.code, name] = abs(score - explicit) / explicit
    return errors


def measure_time(cases: list[Case], arguments: argparse.Namespace) -> tuple[Figures, Figures]:
    """Time every way on every architecture in common shuffled rounds.

    Returns:
        Ratios to the plain pass of the same architecture in the same round, and seconds.
    """
    shuffle = np.random.default_rng(arguments.seed)
    ratios: Figures = {}
    seconds: Figures = {}
    for case in cases:
        for way in (PLAIN, ONE):
            WAYS[way](case)
    for round_ in range(arguments.rounds):
        ways = WAYS if round_ < arguments.slow_rounds else (PLAIN, ONE)
        jobs = [(case, way) for case in cases for way in ways]
        taken: dict[tuple[str, str], float] = {}
        for i in shuffle.permutation(len(jobs)):
            case, way = jobs[i]
            start = time.perf_counter()
            WAYS[way](case)
            taken[case.code, way] = time.perf_counter() - start
        for (code, way), elapsed in taken.items():
            seconds.setdefault((code, way), []).append(elapsed)
            ratios.setdefault((code, way), []).append(elapsed / taken[code, PLAIN])
    return ratios, seconds


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made inside that are alive at once.

    Sees what operators return, activations and gradients among it; not the scratch memory inside
    an operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.known = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        before = {id(t.untyped_storage()) for t in tensors_of((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_of(result):
            storage = tensor.untyped_storage()
            # Views and in-place results live in storage that was there before.
            if id(storage) not in before and storage not in self.known:
                self.known.add(storage)
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._freed, storage.nbytes())
        return result

    def _freed(self, size: int) -> None:
        self.live -= size


def tensors_of(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def measure_memory(cases: list[Case]) -> Figures:
    """Peak of tensor bytes alive beyond model and batch, in MiB, in passes that are not timed."""
    peaks: Figures = {}
    for case in cases:
        for way, run in WAYS.items():
            case.model.zero_grad()
            with LiveBytes() as memory:
                run(case)
            peaks[case.code, way] = [memory.peak / MEBIBYTE]
        case.model.zero_grad()
    return peaks


def pooled(figures: Figures, way: str) -> list[float]:
    """The figures of a way on all architectures."""
    return [value for (_, name), values in figures.items() if name == way for value in values]


def quartiles(values: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(q) for q in np.quantile(values, (0.25, 0.5, 0.75))]


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def show(
    cases: list[Case],
    errors: dict[tuple[str, str], float],
    ratios: Figures,
    seconds: Figures,
    peaks: Figures,
) -> None:
    """Print what was found."""
    names = list(dict.fromkeys(name for _, name in errors))
    print("\nrelative difference to the mean of the explicit Gram matrix; cost of mean_gram")
    print("architecture  parameters", *(f"{name:>15s}" for name in names), "  times plain")
    for case in cases:
        low, middle, high = quartiles(ratios[case.code, ONE])
        print(
            f"{case.code:12s}  {case.parameters:10,}",
            *(f"{errors[case.code, name]:15.1e}" for name in names),
            f"  {middle:.2f} ({low:.2f} to {high:.2f})",
        )
    print(
        "\nway                          time  times plain (quartiles)    peak memory  times plain"
    )
    for way in WAYS:
        low, middle, high = quartiles(pooled(ratios, way))
        peak, plain = (statistics.median(pooled(peaks, name)) for name in (way, PLAIN))
        print(
            f"{way:26s} {1e3 * statistics.median(pooled(seconds, way)):7.0f} ms"
            f"  {middle:6.2f} ({low:5.2f} to {high:5.2f})   {peak:8.1f} MiB  {peak / plain:6.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())
