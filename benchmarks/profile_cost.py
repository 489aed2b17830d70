"""Seconds to a full latency table: shuffled warm rounds, against one op after the other.

The plain way: each op is exported with ``torch.onnx.export``, loaded, run some times untimed and 50
times timed, the next one follows, and the median is its latency. It is shown with our own writer of
ONNX files too. Here: the same ops in shuffled rounds, as few as are needed for a table that is at
least as good. All make the table of the whole space several times, in turn, with the same runtime;
the seconds hold writing, loading, timing, and storing where something is stored.

How good a table is, is measured in two ways, each against one long and careful measurement, and a
third is shown beside them:

    ops         mean error of the ops alone, but for the common factor of a faster or slower minute
    calibrated  mean error of sums on whole networks, after calibration on 40 others
    plain       the same before calibration: what ops alone leave out, so no measure of noise

    python benchmarks/profile_cost.py --json profile_cost.json
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _reporting import finish, header

from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device
from devices.registry import open_target
from devices.target import Target
from latency_models.evaluate import evaluate
from latency_models.fit import CALIBRATION_NETWORKS
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from lutier.networks import draw_networks, network_job, op_jobs
from lutier.progress import ProfileBar
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.run import profile
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable
from search.architecture import Architecture
from search.spaces.base import ChainSpace
from search.spaces.registry import open_space

PLAIN_WARMUP, PLAIN_RUNS = 10, 50
ROUNDS = ((2, 2), (4, 2), (2, 4), (3, 4), (6, 4), (12, 5))
"""How many rounds, and how many timed runs in each visit."""
LEAST_RATIO = 3.0
PLAIN = "plain, torch.onnx.export"
PLAIN_OUR_FILES = "plain, our writer"
MEASURES = ("ops", "plain", "calibrated")
CRITERIA = ("ops", "calibrated")


@dataclass
class Way:
    """One way of making the table: what it took, and how far off it was, a value a repeat."""

    seconds: list[float] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})

    def error(self, name: str) -> float:
        return statistics.fmean(self.errors[name])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--time-limit", type=float, default=120, help="for the careful table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a tiny space, few repeats")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.space, arguments.networks, arguments.repeats = "mobile-tiny", 30, 2
        arguments.time_limit = 3
    document = header("profile_cost", seed=arguments.seed)
    space = open_space(arguments.space)
    target = Target.make("cpu", "onnxruntime", {"threads": 1})
    drawn = draw_networks(space, arguments.networks, arguments.seed)
    with open_target(target) as device:
        # Whatever is imported for the first file is paid by nobody.
        for way in (our_file, torch_file):
            one_by_one(op_jobs(space)[:1], device, target, way)
        truth = careful(space, drawn, device, target, arguments.time_limit)
        ways = compare(space, drawn, device, target, truth, arguments)
    plain = ways[PLAIN]
    print(f"\n{space.name} on {target}: {len(space.all_ops())} ops, {arguments.repeats} repeats")
    print(f"  {'':31s}  seconds (quartiles)     ops   plain  calibrated  times less")
    results: dict[str, Any] = {}
    for name, way in ways.items():
        low, middle, high = np.percentile(way.seconds, [25, 50, 75])
        ratios = [a / b for a, b in zip(plain.seconds, way.seconds, strict=True)]
        ratio = statistics.median(ratios)
        good = all(way.error(each) <= plain.error(each) for each in CRITERIA)
        print(
            f"  {name:31s}  {middle:6.2f} ({low:.2f} to {high:.2f})"
            f"  {way.error('ops'):6.2%}  {way.error('plain'):6.2%}  {way.error('calibrated'):10.2%}"
            f"  {ratio:10.2f}{'' if good or way is plain else '  less accurate'}"
        )
        results[name] = {
            "seconds": way.seconds,
            "times_less": ratio,
            "as_accurate": good,
            **{each: way.errors[each] for each in MEASURES},
        }
    best = max(
        (
            row["times_less"]
            for name, row in results.items()
            if row["as_accurate"] and name != PLAIN
        ),
        default=0.0,
    )
    met = best >= LEAST_RATIO
    print(
        f"\nat equal or better accuracy {best:.2f} times less,"
        f" at least {LEAST_RATIO:g}: {'met' if met else 'MISSED'}"
    )
    finish(
        {**document, "target": str(target), "space": space.name, "ways": results, "best": best},
        arguments.json,
    )
    return 0 if met or arguments.quick else 1


def careful(
    space: ChainSpace,
    drawn: Sequence[Architecture],
    device: Device,
    target: Target,
    time_limit: float,
) -> dict[str, float]:
    """Ops and networks in common rounds for as long as it takes: latency in ms by key."""
    jobs = op_jobs(space) + [network_job(space, architecture) for architecture in drawn]
    protocol = Protocol(min_rounds=30, min_seconds=time_limit / 2, max_seconds=time_limit)
    with MeasurementStore("sqlite://") as store, ProfileBar(protocol) as bar:
        result = profile(jobs, device, target, store, protocol, seed=1, on_event=bar)
    return {key: summary.median_ms for key, summary in result.measured.items()}


def compare(
    space: ChainSpace,
    drawn: Sequence[Architecture],
    device: Device,
    target: Target,
    truth: Mapping[str, float],
    arguments: argparse.Namespace,
) -> dict[str, Way]:
    """Make the table in every way, in a new order each time."""
    jobs = op_jobs(space)
    plain = {PLAIN: torch_file, PLAIN_OUR_FILES: our_file}
    rounds = {f"{n} shuffled rounds of {runs} runs": (n, runs) for n, runs in ROUNDS}
    ways = {name: Way() for name in (*plain, *rounds)}
    generator = np.random.default_rng(arguments.seed)
    order = list(ways)
    for repeat in range(arguments.repeats):
        for i in generator.permutation(len(order)):
            name = order[i]
            start = time.monotonic()
            if name in plain:
                table = one_by_one(jobs, device, target, plain[name])
            else:
                table = in_rounds(jobs, device, target, *rounds[name], seed=repeat)
            ways[name].seconds.append(time.monotonic() - start)
            for measure, error in errors(table, truth, space, drawn).items():
                ways[name].errors[measure].append(error)
    return ways


def our_file(job: Job, target: Target, folder: ArtifactFolder) -> Artifact:
    return make_artifact(job, "onnx", target.batch, folder)


def torch_file(job: Job, target: Target, folder: ArtifactFolder) -> Artifact:
    """The exporter that comes with torch, the older and quicker one of its two."""
    module, shape = job.build().eval(), (target.batch, *job.input_shape)
    contents = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(shape),), contents, dynamo=False)
    return folder.add(contents.getvalue(), key=job.key, file_format="onnx", input_shape=shape)


def one_by_one(
    jobs: Sequence[Job],
    device: Device,
    target: Target,
    write: Callable[[Job, Target, ArtifactFolder], Artifact],
) -> dict[str, float]:
    """The plain way: latency in ms by key."""
    table = {}
    with tempfile.TemporaryDirectory() as name:
        folder = ArtifactFolder(Path(name))
        for job in jobs:
            model = device.load(write(job, target, folder), target)
            table[job.key] = statistics.median(model.time_ms(warmup=PLAIN_WARMUP, runs=PLAIN_RUNS))
            model.close()
    return table


def in_rounds(
    jobs: Sequence[Job], device: Device, target: Target, rounds: int, runs: int, seed: int
) -> dict[str, float]:
    """Shuffled warm rounds into a store: latency in ms by key."""
    protocol = Protocol(
        warmup_runs=1, timed_runs=runs, min_rounds=rounds, max_rounds=rounds, target_error=1e-6
    )
    with tempfile.TemporaryDirectory() as name, MeasurementStore(f"sqlite:///{name}/db") as store:
        result = profile(jobs, device, target, store, protocol, seed=seed)
    return {key: summary.median_ms for key, summary in result.measured.items()}


def errors(
    table: Mapping[str, float],
    truth: Mapping[str, float],
    space: ChainSpace,
    drawn: Sequence[Architecture],
) -> dict[str, float]:
    """How far a table is off, by the name of the measure."""
    ratios = np.array([table[key] / truth[key] for key in table])
    networks = [space.ops(architecture) for architecture in drawn]
    measured = [truth[architecture.id] for architecture in drawn]
    latencies = LatencyTable.from_ops("t", {OpSpec.parse(key): ms for key, ms in table.items()})
    model = SumModel(LookupModel(latencies))
    count = min(CALIBRATION_NETWORKS, 2 * len(drawn) // 3)
    fitted = model.fit(networks[:count], measured[:count])
    return {
        "ops": float(np.abs(ratios / np.median(ratios) - 1).mean()),
        "plain": evaluate(model.predict_ms(networks), measured).mape,
        "calibrated": evaluate(fitted.predict_ms(networks[count:]), measured[count:]).mape,
    }


if __name__ == "__main__":
    sys.exit(main())
