"""How well the latency table predicts networks that it has never seen.

For each space: measures every op and some whole networks in common rounds, calibrates slope and
intercept on 20 of the networks, and compares the rest with what was measured. Half of the networks
are uniform samples, half are spread over the whole range of sizes.

    python benchmarks/lut_accuracy.py --json lut_accuracy.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from _reporting import finish, header

from devices.registry import open_target
from devices.target import Target
from latency_models.evaluate import Evaluation, evaluate
from latency_models.fit import fit_latency_model
from lutier.networks import draw_networks, network_job, network_samples, op_jobs
from lutier.progress import ProfileBar
from profiler.protocol import Protocol
from profiler.run import profile
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable
from search.spaces.registry import open_space

CALIBRATION = 20
MAX_MAPE = 0.025
NOISE_FACTOR = 1.5
MIN_SPEARMAN = 0.98


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=["mobile-tiny", "mobile?resolution=96"])
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--unseen", type=int, default=50, help="networks to predict")
    parser.add_argument("--time-limit", type=float, default=180, help="seconds a space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few networks and rounds, no bounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.spaces, arguments.unseen, arguments.time_limit = ["mobile-tiny"], 10, 1
    document = header("lut_accuracy", seed=arguments.seed)
    target = Target.make("cpu", arguments.runtime, {"threads": arguments.threads})
    results = [run(name, target, arguments) for name in arguments.spaces]
    met = [bool(result["met"]) for result in results]
    finish({**document, "target": str(target), "results": results}, arguments.json)
    return 0 if all(met) or arguments.quick else 1


def run(name: str, target: Target, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure, calibrate and compare one space; print and return the figures."""
    space = open_space(name)
    drawn = draw_networks(space, CALIBRATION + arguments.unseen, arguments.seed)
    jobs = op_jobs(space) + [network_job(space, architecture) for architecture in drawn]
    protocol = Protocol(max_seconds=arguments.time_limit)
    with (
        tempfile.TemporaryDirectory() as folder,
        MeasurementStore(f"sqlite:///{folder}/lut.db") as store,
        open_target(target) as device,
        ProfileBar(protocol) as bar,
    ):
        profile(jobs, device, target, store, protocol, seed=arguments.seed, on_event=bar)
        table = LatencyTable.load(store, target)
    fitted = fit_latency_model(
        table, network_samples(table, name), calibration=CALIBRATION, seed=arguments.seed
    )
    noise = table.split_half_error_of("network")
    bound = max(MAX_MAPE, NOISE_FACTOR * noise)
    uniform = {architecture.id for architecture in drawn[0::2]}
    held_out = [sample for sample in network_samples(table, name) if sample.id in fitted.held_out]
    parts = {
        "all": held_out,
        "uniform": [sample for sample in held_out if sample.id in uniform],
        "spread": [sample for sample in held_out if sample.id not in uniform],
    }
    figures: dict[str, Evaluation] = {}
    for part, samples in parts.items():
        predicted = fitted.model.predict_ms([sample.ops for sample in samples])
        figures[part] = evaluate(predicted, [sample.measured_ms for sample in samples], noise)
    print(f"\n{name} on {target}: {len(table)} ops, {len(drawn)} networks")
    print(
        f"  split-half error: ops {table.split_half_error_of('op'):.2%},"
        f" networks {noise:.2%} (noise floor)"
    )
    plain = fitted.uncalibrated
    print(f"  plain sum of ops      MAPE {plain.mape:6.2%}  bias {plain.bias:+7.2%}")
    for part, figure in figures.items():
        print(
            f"  calibrated, {part:8s}  MAPE {figure.mape:6.2%}  bias {figure.bias:+7.2%}"
            f"  within 5 % {figure.within_5:4.0%}  within 10 % {figure.within_10:4.0%}"
            f"  Spearman {figure.spearman:.3f}  n {figure.n}"
        )
    met = figures["all"].mape <= bound and figures["all"].spearman >= MIN_SPEARMAN
    print(
        f"  bound: MAPE at most {bound:.2%}, Spearman at least {MIN_SPEARMAN}:"
        f" {'met' if met else 'MISSED'}"
    )
    return {
        "space": name,
        "ops": len(table),
        "networks": len(drawn),
        "split_half_error_ops": table.split_half_error_of("op"),
        "split_half_error_networks": noise,
        "uncalibrated": plain.to_dict(),
        **{part: figure.to_dict() for part, figure in figures.items()},
        "mape_bound": bound,
        "met": met,
    }


if __name__ == "__main__":
    sys.exit(main())
