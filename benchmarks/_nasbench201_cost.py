"""What proxies cost beside plain forward and backward passes of the same networks.

A plain pass is torch's own, in training mode, without a hook. Proxies that need the same pass need
it once. A product with the Hessian is counted as two forward-backwards: it differentiates every
step of a forward and of a backward pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _nasbench201_scores import ONE_CHANNEL, RESOLUTION, Scorer
from torch import Tensor, nn

from devices.errors import InputError
from search.proxies.registry import score
from search.spaces.nasbench201 import nasbench201
from search.train import build_network

MAX_TIMES = 1.6
REGION_SAMPLES, REGION_SIZE = 1000, 4
KERNEL_SAMPLES = 16

FORWARD, LOGITS, LOSS = "forward", "logits backward", "loss backward"
KERNEL, HALVES, HESSIAN = "kernel forward-backward", "two halves", "Hessian product"
KERNEL_ROWS, BLOCKS = "16 backwards of 16", "blocks backward"
OF_ONE, OF_ONE_64, OF_TWO, REGIONS = "forward of 1", "64-bit pass of 1", "forward of 2", "regions"

NEEDS: dict[str, tuple[str, ...]] = {
    "parameters": (),
    "flops": (OF_TWO,),
    "mgm": (KERNEL,),
    "mgm_layers": (KERNEL,),
    "mgm_per_parameter": (KERNEL,),
    "mgm_batch": (FORWARD, LOGITS),
    "jacob_cov": (FORWARD, LOGITS),
    "grad_norm": (FORWARD, LOSS),
    "snip": (FORWARD, LOSS),
    "fisher": (FORWARD, LOSS),
    "grasp": (FORWARD, LOSS, HESSIAN),
    "synflow": (OF_ONE_64,),
    "naswot": (FORWARD,),
    "swap": (FORWARD,),
    "ntk_condition": (KERNEL_ROWS,),
    "linear_regions": (REGIONS,),
    "zico": (HALVES,),
    "zico_signed": (HALVES,),
    "meco": (OF_ONE,),
    "az_expressivity": (FORWARD,),
    "az_progressivity": (FORWARD,),
    "az_trainability": (FORWARD, BLOCKS),
}
"""The passes each proxy needs; those of one name are the same pass."""


@dataclass(frozen=True)
class Plain:
    """A network to run plain passes of.

    Attributes:
        model: in training mode.
        precise: the same in float64.
        narrow: of one channel and one cell.
        inputs: shape ``(n, 3, 32, 32)``.
        targets: shape ``(n,)``.
    """

    model: nn.Module
    precise: nn.Module
    narrow: nn.Module
    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, scorer: Scorer, code: str) -> Plain:
        space, choices = scorer.setting.space, [int(digit) for digit in code]
        one = nasbench201(1, 1, resolution=RESOLUTION)
        model, narrow = (
            build_network(s, s.architecture(choices), scorer.setting.seed).to(
                memory_format=torch.channels_last
            )
            for s in (space, one)
        )
        precise = build_network(space, space.architecture(choices), scorer.setting.seed).double()
        return cls(model, precise, narrow, scorer.inputs, scorer.targets)

    def backward(self, scalar: Tensor, *more: Tensor) -> None:
        parameters = tuple(p for p in self.model.parameters() if p.requires_grad)
        torch.autograd.grad(scalar, (*parameters, *more), retain_graph=True, allow_unused=True)

    def both(self, inputs: Tensor, model: nn.Module | None = None) -> None:
        model = model or self.model
        logits = model(inputs)
        torch.autograd.grad(logits.sum(), tuple(model.parameters()), allow_unused=True)

    def seconds(self) -> dict[str, float]:
        """Time of every plain pass."""
        taken = {}

        def timed(name: str, run: Callable[[], Any]) -> Any:
            start = time.perf_counter()
            result = run()
            taken[name] = time.perf_counter() - start
            return result

        inputs = self.inputs.clone().requires_grad_()
        logits = timed(FORWARD, lambda: self.model(inputs))
        timed(LOGITS, lambda: self.backward(logits.sum(), inputs))
        timed(LOSS, lambda: self.backward(F.cross_entropy(logits, self.targets)))
        timed(BLOCKS, lambda: torch.autograd.grad(logits.sum(), inputs))
        timed(KERNEL, lambda: self.both(self.inputs))
        timed(HESSIAN, lambda: [self.both(self.inputs) for _ in range(2)])
        timed(HALVES, lambda: [self.both(half) for half in self.inputs.chunk(2)])
        timed(KERNEL_ROWS, self.rows)
        timed(OF_ONE, lambda: self.model(self.inputs[:1]))
        timed(OF_TWO, lambda: self.model(self.inputs[:2]))
        one = self.inputs[:1].double()
        timed(OF_ONE_64, lambda: self.both(one, self.precise))
        noise = torch.randn(REGION_SAMPLES, 3, REGION_SIZE, REGION_SIZE)
        timed(REGIONS, lambda: self.narrow(noise))
        return taken

    def rows(self) -> None:
        for total in self.model(self.inputs[:KERNEL_SAMPLES]).sum(1):
            self.backward(total)


def measure(scorer: Scorer, codes: Sequence[str], rounds: int) -> dict[str, Any]:
    """Time proxies and plain passes of the same networks in turn.

    Raises:
        InputError: a proxy whose passes are not known here.
    """
    names = scorer.setting.proxies
    unknown = [name for name in names if name not in NEEDS]
    if unknown:
        raise InputError(f"what {', '.join(unknown)} needs is not known", "--proxies without it")
    wide, narrow = scorer.setting.space, nasbench201(1, 1, resolution=RESOLUTION)
    own: dict[str, list[float]] = {}
    needed: dict[str, list[float]] = {}
    totals: list[float] = []
    for round_ in range(rounds + 1):
        for code in codes:
            plain = Plain.of(scorer, code).seconds()
            total = 0.0
            for space, of_space in (
                (wide, [name for name in names if name not in ONE_CHANNEL]),
                (narrow, [name for name in names if name in ONE_CHANNEL]),
            ):
                context = scorer.context(space, code)
                start = time.perf_counter()
                found = score(context, of_space)
                total += time.perf_counter() - start
                if round_:
                    for name, one in found.items():
                        own.setdefault(name, []).append(one.seconds)
                    for name, seconds in context.shared_seconds.items():
                        own.setdefault(f"({name})", []).append(seconds)
            # The first round warms up.
            if round_:
                totals.append(total)
                for name, seconds in plain.items():
                    needed.setdefault(name, []).append(seconds)
    passes = {name for proxy in names for name in NEEDS[proxy]}
    per_network = np.sum([needed[name] for name in passes], 0)
    return {
        "networks": len(codes),
        "rounds": rounds,
        "own_ms": {name: 1e3 * float(np.median(values)) for name, values in own.items()},
        "plain_ms": {name: 1e3 * float(np.median(needed[name])) for name in sorted(passes)},
        "all_ms": 1e3 * float(np.median(totals)),
        "needed_ms": 1e3 * float(np.median(per_network)),
        "times": float(np.median(np.array(totals) / per_network)),
    }


def show(result: dict[str, Any]) -> None:
    """Print what each proxy takes, beside what it needs."""
    plain = result["plain_ms"]
    print(
        f"\n{result['networks']} networks, {result['rounds']} rounds, medians; in brackets the"
        " passes that proxies share, whose time is not in their own"
    )
    print("proxy                  own time    the plain passes it needs")
    for name, own in result["own_ms"].items():
        needs = NEEDS.get(name, ())
        total = f"{sum(plain[one] for one in needs):7.1f} ms  {', '.join(needs)}"
        print(f"{name:22s} {own:7.1f} ms  {total if needs else ''}")
    print("\nplain pass                  time")
    for name, milliseconds in plain.items():
        print(f"{name:24s} {milliseconds:7.1f} ms")
    verdict = "met" if result["times"] <= MAX_TIMES else "MISSED"
    print(
        f"\nall proxies {result['all_ms']:.0f} ms a network, what they need"
        f" {result['needed_ms']:.0f} ms: {result['times']:.2f} times"
        f" (at most {MAX_TIMES}: {verdict})"
    )
