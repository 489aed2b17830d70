"""How well the latency table predicts networks that it has never seen.

For each runtime and space: measures every op, the carriers and some whole networks in common
rounds, calibrates on 40 of the networks and the carriers, and compares the rest with what was
measured. Half of the networks are uniform samples, half are spread over the whole range of sizes.

    python benchmarks/lut_accuracy.py --runtime onnxruntime litert torch --json lut_accuracy.json
    python benchmarks/lut_accuracy.py --target 'cuda:0/torch?graph=on' --json lut_accuracy_gpu.json
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

from _reporting import finish, header
from _tables import measure_space

from devices.target import Target
from latency_models.evaluate import Evaluation, evaluate
from latency_models.fit import CALIBRATION_NETWORKS, fit_latency_model
from lutier.networks import carrier_samples, network_samples
from profiler.ops import OpSpec
from profiler.table import LatencyTable

DEFAULT_SPACES = ["mobile?resolution=96", "mobile?resolution=160"]
CALIBRATION = CALIBRATION_NETWORKS
MAX_MAPE = 0.015
NOISE_FACTOR = 1.25
MAX_BIAS = 0.05
"""Of the plain sum, before calibration."""
LEAST_WITHIN_5 = 0.95
LEAST_WITHIN_10 = 0.99
QUIET = 0.02
"""Split-half error above which the shares say more of the machine than of the table."""
CLIFF = 5.0
"""Times as long as a 5x5 that a depthwise 7x7 takes where a runtime has no fast way for it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=DEFAULT_SPACES)
    parser.add_argument("--runtime", nargs="+", default=["onnxruntime", "litert", "torch"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--target", nargs="+", help="measure on these instead of on cpu with each --runtime"
    )
    parser.add_argument("--unseen", type=int, default=100, help="networks to predict")
    parser.add_argument("--time-limit", type=float, default=240, help="seconds a table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few networks and rounds, no bounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.spaces, arguments.unseen, arguments.time_limit = ["mobile-tiny"], 10, 1
        arguments.runtime = arguments.runtime[:1]
        arguments.target = arguments.target and arguments.target[:1]
    if arguments.target:
        targets = [Target.parse(text) for text in arguments.target]
    else:
        threads = {"threads": arguments.threads}
        targets = [Target.make("cpu", runtime, threads) for runtime in arguments.runtime]
    document = header("lut_accuracy", seed=arguments.seed)
    results = [run(name, target, arguments) for target in targets for name in arguments.spaces]
    missed = [f"{result['target']} {result['space']}" for result in results if result["missed"]]
    finish({**document, "results": results}, arguments.json)
    print(f"\n{len(results) - len(missed)} of {len(results)} tables meet every bound")
    return 0 if not missed or arguments.quick else 1


def run(name: str, target: Target, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure, calibrate and compare one space; print and return the figures."""
    table, drawn = measure_space(
        name,
        target,
        CALIBRATION + arguments.unseen,
        seed=arguments.seed,
        time_limit=arguments.time_limit,
    )
    fitted = fit_latency_model(
        table,
        network_samples(table, name),
        carriers=carrier_samples(table, name),
        calibration=CALIBRATION,
        seed=arguments.seed,
    )
    noise = table.split_half_error_of("network")
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
    steepest, key = cliff(table)
    print(f"  steepest step from kernel 5 to 7: {steepest:.2f} times, {key}")
    missed = judge(plain, figures["all"], noise)
    if (
        target.device == "cpu"
        and target.runtime == "litert"
        and "x86" in platform.machine()
        and steepest < CLIFF
    ):
        missed.append(f"a cliff of {CLIFF:g} times in the table")
    print(f"  bounds: {'met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    return {
        "target": str(target),
        "space": name,
        "findings": dict(table.findings),
        "steepest": {"ratio": steepest, "key": key},
        "ops": len(table),
        "networks": len(drawn),
        "split_half_error_ops": table.split_half_error_of("op"),
        "split_half_error_networks": noise,
        "uncalibrated": plain.to_dict(),
        **{part: figure.to_dict() for part, figure in figures.items()},
        "missed": missed,
    }


def judge(plain: Evaluation, calibrated: Evaluation, noise: float) -> list[str]:
    """Which bounds are missed."""
    bound = max(MAX_MAPE, NOISE_FACTOR * noise)
    missed = []
    if abs(plain.bias) > MAX_BIAS:
        missed.append(f"bias of the plain sum within {MAX_BIAS:.0%}")
    if calibrated.mape > bound:
        missed.append(f"MAPE at most {bound:.2%}")
    if noise <= QUIET and calibrated.within_5 < LEAST_WITHIN_5:
        missed.append(f"{LEAST_WITHIN_5:.0%} within 5 %")
    if noise <= QUIET and calibrated.within_10 < LEAST_WITHIN_10:
        missed.append(f"{LEAST_WITHIN_10:.0%} within 10 %")
    return missed


def cliff(table: LatencyTable) -> tuple[float, str]:
    """By how much a block takes longer with kernel 7 than with kernel 5, at the most, and which."""
    steps = {}
    for spec, latency_ms in table.ops.items():
        if spec.kind == "mbconv" and spec["kernel"] == 7:
            smaller = OpSpec.make(
                "mbconv", spec.input_shape, **{**dict(spec.attributes), "kernel": 5}
            )
            if smaller in table.ops:
                steps[spec.key] = latency_ms / table.ops[smaller]
    key = max(steps, key=lambda key: steps[key])
    return steps[key], key


if __name__ == "__main__":
    sys.exit(main())
