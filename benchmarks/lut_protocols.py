"""Which way of timing ops gives sums that come nearest to whole networks, before any calibration?

Everything is measured in the same shuffled rounds, with the reference beside each visit: every op
alone; the carriers, some networks that together hold every op; every carrier op by op, in the order
of the network; a network with one block exchanged, for each op; and other networks to compare with.
Then five tables are made of it:

    alone       what an op takes on its own
    walked      what it takes right after its neighbours, mean over the carriers that hold it
    swapped     share in a base network, plus the difference that exchanging it makes
    shared-walk carriers shared out in proportion to what ops take in the walk
    shared      carriers shared out in proportion to what ops take alone, without the call (default)

    python benchmarks/lut_protocols.py --json lut_protocols.json
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _reporting import finish, header

from devices.artifact import ArtifactFolder
from devices.base import Device, LoadedModel
from devices.registry import open_target
from devices.target import Target
from latency_models.evaluate import Evaluation, evaluate
from latency_models.fit import CALIBRATION_NETWORKS
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from lutier.networks import carriers, draw_networks, network_job
from lutier.progress import Bar
from profiler.in_network import Carrier, in_network_ms
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec
from profiler.quality import split_half_difference, split_half_error
from profiler.reference import Reference, load_reference
from profiler.table import LatencyTable
from profiler.visit import Series, Visit, choose_scale
from search.architecture import Architecture
from search.spaces.base import ChainSpace
from search.spaces.registry import open_space

WARMUP, RUNS = 2, 5
DEFAULT = "shared"
Key = tuple[str, str]


@dataclass(frozen=True)
class Subject:
    """What is visited in a round: a name, and a call that gives the timed runs of one or more."""

    kind: str
    visit: Callable[[], dict[Key, tuple[float, ...]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile?resolution=96")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "litert", "torch"])
    parser.add_argument("--networks", type=int, default=60, help="to compare with")
    parser.add_argument("--time-limit", type=float, default=120, help="seconds a runtime")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a tiny space, few networks")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.space, arguments.networks, arguments.time_limit = "mobile-tiny", 24, 3
        arguments.runtimes = ["onnxruntime"]
    document = header("lut_protocols", seed=arguments.seed)
    results = [run(name, arguments) for name in arguments.runtimes]
    finish({**document, "space": arguments.space, "results": results}, arguments.json)
    best = [result["nearest"] == DEFAULT for result in results]
    print(f"\nthe default is the nearest on {sum(best)} of {len(best)} runtimes")
    return 0


def run(runtime: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure on one runtime, and print and return how near each protocol comes."""
    space = open_space(arguments.space)
    target = Target.make("cpu", runtime, {"threads": 1})
    drawn = draw_networks(space, arguments.networks, arguments.seed)
    chosen = carriers(space, arguments.seed)
    base, swaps = swap_one(space)
    with ExitStack() as stack:
        device = stack.enter_context(open_target(target))
        bench = Bench(space, device, target, stack)
        subjects = bench.subjects(drawn, chosen, [base, *swaps.values()])
        series, spent, rounds = measure(
            subjects, bench.reference, arguments.time_limit, arguments.seed, runtime
        )
    scale = choose_scale(list(series.values()))
    values = {key: each.values_ms(scale) for key, each in series.items()}
    ms = {key: float(np.median(each)) for key, each in values.items()}
    noise = split_half_error(
        split_half_difference(values["network", architecture.id]) for architecture in drawn
    )
    tables = {
        "alone": alone(ms),
        "walked": walked(ms, space, chosen, shared=False),
        "swapped": swapped(ms, space, base, swaps),
        "shared-walk": walked(ms, space, chosen, shared=True),
        "shared": in_network_ms(
            alone(ms),
            [Carrier(ms["carrier", one.id], keys_of(space, one)) for one in chosen],
            ms["call", "call"],
        ),
    }
    costs = {
        "alone": ("op",),
        "walked": ("walk",),
        "swapped": ("op", "swap"),
        "shared-walk": ("walk", "carrier"),
        "shared": ("op", "carrier", "call"),
    }
    print(
        f"\n{arguments.space} on {target}: {rounds} rounds, exponent {scale.exponent},"
        f" noise floor {noise:.2%}"
    )
    print(f"  {'':12s}  before calibration                       after    models  seconds a round")
    rows: dict[str, Any] = {}
    for name, table in tables.items():
        plain, fitted = compare(table, space, drawn, ms, noise)
        seconds = sum(spent[kind] for kind in costs[name]) / rounds
        models = sum(subject.kind in costs[name] for subject in subjects)
        print(
            f"  {name:12s}  MAPE {plain.mape:6.2%}  bias {plain.bias:+7.2%}"
            f"  Spearman {plain.spearman:.3f}  MAPE {fitted.mape:.2%}  {models:4d}  {seconds:.2f}"
        )
        rows[name] = {
            "plain": plain.to_dict(),
            "calibrated": fitted.to_dict(),
            "models": models,
            "seconds_a_round": seconds,
        }
    nearest = min(rows, key=lambda name: rows[name]["plain"]["mape"])
    print(f"  nearest: {nearest}")
    return {
        "target": str(target),
        "rounds": rounds,
        "exponent": scale.exponent,
        "noise_floor": noise,
        "protocols": rows,
        "nearest": nearest,
    }


class Bench:
    """Loads models, and says how each is visited."""

    def __init__(self, space: ChainSpace, device: Device, target: Target, stack: ExitStack) -> None:
        self.space, self.device, self.target, self.stack = space, device, target, stack
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.folder = ArtifactFolder(Path(folder))
        self.reference = load_reference(device, target, self.folder, stack)
        self.ops = {spec.key: self.load(Job.of_op(spec)) for spec in space.all_ops()}

    def load(self, job: Job) -> LoadedModel:
        file_format = self.device.artifact_format(self.target.runtime)
        model = self.device.load(make_artifact(job, file_format, 1, self.folder), self.target)
        self.stack.callback(model.close)
        return model

    def subjects(
        self,
        drawn: Sequence[Architecture],
        chosen: Sequence[Architecture],
        swaps: Sequence[Architecture],
    ) -> list[Subject]:
        """Everything that is visited in a round."""
        subjects = [single("op", key, model) for key, model in self.ops.items()]
        subjects.append(single("call", "call", self.load(Job.of_call())))
        for kind, architectures in (
            ("network", drawn),
            ("carrier", chosen),
            ("swap", list(dict.fromkeys(swaps))),
        ):
            subjects += [
                single(kind, one.id, self.load(network_job(self.space, one)))
                for one in architectures
            ]
        return subjects + [self.walk(one) for one in chosen]

    def walk(self, carrier: Architecture) -> Subject:
        """The ops of a carrier one by one, pass after pass."""
        chain = [self.ops[key] for key in keys_of(self.space, carrier)]

        def visit() -> dict[Key, tuple[float, ...]]:
            passes = [
                [model.time_ms(warmup=0, runs=1)[0] for model in chain]
                for _ in range(WARMUP + RUNS)
            ][WARMUP:]
            return {
                ("walk", f"{carrier.id} {place}"): tuple(times)
                for place, times in enumerate(zip(*passes, strict=True))
            }

        return Subject("walk", visit)


def single(kind: str, name: str, model: LoadedModel) -> Subject:
    return Subject(kind, lambda: {(kind, name): tuple(model.time_ms(warmup=WARMUP, runs=RUNS))})


def measure(
    subjects: Sequence[Subject],
    reference: Reference | None,
    time_limit: float,
    seed: int,
    label: str,
) -> tuple[dict[Key, Series], dict[str, float], int]:
    """Shuffled rounds: visits by key, seconds by kind of subject, and the number of rounds."""
    series: dict[Key, Series] = {}
    spent = dict.fromkeys((subject.kind for subject in subjects), 0.0)
    generator = np.random.default_rng(seed)
    start, rounds = time.monotonic(), 0
    gc.collect()
    gc.disable()
    with Bar(f"{label}, seconds", int(time_limit)) as bar:
        while rounds < 4 or time.monotonic() - start < time_limit:
            before = () if reference is None else (reference.time_ms(),)
            for i in generator.permutation(len(subjects)):
                begun = time.perf_counter()
                visited = subjects[i].visit()
                spent[subjects[i].kind] += time.perf_counter() - begun
                after = () if reference is None else (reference.time_ms(),)
                for key, samples in visited.items():
                    series.setdefault(key, Series()).add(Visit(samples, before + after))
                before = after
            rounds += 1
            bar.update(min(int(time.monotonic() - start), int(time_limit)))
    gc.enable()
    return series, spent, rounds


def keys_of(space: ChainSpace, architecture: Architecture) -> tuple[str, ...]:
    return tuple(op.key for op in space.ops(architecture) if not op.is_free)


def swap_one(space: ChainSpace) -> tuple[Architecture, dict[str, Architecture]]:
    """A base network, and by op the network in which it stands in place of the base's."""
    base = space.architecture([len(block) // 2 for block in space.blocks])
    swaps: dict[str, Architecture] = {}
    for place, block in enumerate(space.blocks):
        for candidate, op in enumerate(block):
            if not op.is_free:
                choices = [*base.choices[:place], candidate, *base.choices[place + 1 :]]
                swaps.setdefault(op.key, space.architecture(choices))
    return base, swaps


def alone(ms: Mapping[Key, float]) -> dict[str, float]:
    return {key: value for (kind, key), value in ms.items() if kind == "op"}


def walked(
    ms: Mapping[Key, float], space: ChainSpace, chosen: Sequence[Architecture], *, shared: bool
) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for carrier in chosen:
        keys = keys_of(space, carrier)
        times = [ms["walk", f"{carrier.id} {place}"] for place in range(len(keys))]
        factor = ms["carrier", carrier.id] / sum(times) if shared else 1.0
        for key, value in zip(keys, times, strict=True):
            found.setdefault(key, []).append(factor * value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def swapped(
    ms: Mapping[Key, float],
    space: ChainSpace,
    base: Architecture,
    swaps: Mapping[str, Architecture],
) -> dict[str, float]:
    """Shares of the base network; plus, for an op that is not in it, what exchanging it changes."""
    whole = ms["swap", base.id]
    carrier = Carrier(whole, keys_of(space, base))
    shares = in_network_ms(alone(ms), [carrier], ms["call", "call"])
    table = dict(shares)
    for key, network in swaps.items():
        if network == base:
            continue
        pairs = enumerate(zip(base.choices, network.choices, strict=True))
        place = next(place for place, (before, after) in pairs if before != after)
        replaced = space.blocks[place][base.choices[place]]
        share = 0.0 if replaced.is_free else shares[replaced.key]
        table[key] = share + ms["swap", network.id] - whole
    return table


def compare(
    table: Mapping[str, float],
    space: ChainSpace,
    drawn: Sequence[Architecture],
    ms: Mapping[Key, float],
    noise: float,
) -> tuple[Evaluation, Evaluation]:
    """The plain sum on all networks; and calibrated on 40 of them, on the others."""
    networks = [space.ops(architecture) for architecture in drawn]
    measured = [ms["network", architecture.id] for architecture in drawn]
    sums = [sum(table[op.key] for op in ops if not op.is_free) for ops in networks]
    latencies = LatencyTable.from_ops(
        "simulated", {OpSpec.parse(key): value for key, value in table.items()}
    )
    count = min(CALIBRATION_NETWORKS, 2 * len(drawn) // 3)
    model = SumModel(LookupModel(latencies)).fit(networks[:count], measured[:count])
    predicted = model.predict_ms(networks[count:])
    return evaluate(sums, measured, noise), evaluate(predicted, measured[count:], noise)


if __name__ == "__main__":
    sys.exit(main())
