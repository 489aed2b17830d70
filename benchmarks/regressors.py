"""How well regressors predict ops that were not measured.

Measures the ops of ``mobile`` at several widths and resolutions, and those of NAS-Bench-201 at
several widths and sizes, then predicts 30 % of them from the others: ops drawn at random, and whole
shapes. Beside it a model linear in FLOPs, gradient boosting and the nearest neighbour.

    python benchmarks/regressors.py --json regressors.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _reporting import finish, header
from _tables import measure_jobs
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from devices.target import Target
from latency_models.features import predictor_matrix
from latency_models.regressors import MIN_OPS, KindRegressor
from latency_models.selection import SPLITS
from lutier.settings import Settings
from profiler.jobs import Job
from profiler.ops import OpSpec
from profiler.table import LatencyTable
from search.spaces.registry import open_space

HELD_OUT = 0.3
BOUNDS = {"ops": (0.025, 0.10, 0.95), "shapes": (0.05, 0.15, 0.90)}
"""Of the median error, and of the share of ops within an error."""
QUIET = 0.015
"""Split-half error of the ops above which the errors say more of the machine than of the model."""

Values = npt.NDArray[np.float64]
Fitted = Callable[[Sequence[OpSpec]], Values]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--seeds", type=int, default=3, help="draws of what is held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few ops, one draw, no bounds")
    arguments = parser.parse_args()
    target = Target.make("cpu", arguments.runtime, {"threads": 1})
    sets = {"mobile": mobile_ops(arguments.quick), "NAS-Bench-201": nb201_ops(arguments.quick)}
    jobs = [Job.of_op(op) for ops in sets.values() for op in ops]
    settings = Settings(max_seconds=1 if arguments.quick else 60)
    table = measure_jobs(jobs, settings, target, seed=arguments.seed)
    noise = table.split_half_error_of("op")
    document = header("regressors", seed=arguments.seed)
    print(f"{target}: {len(table)} ops, split-half error {noise:.2%}")
    seeds = range(arguments.seed, arguments.seed + (1 if arguments.quick else arguments.seeds))
    results = []
    missed = []
    for name, ops in sets.items():
        for split in BOUNDS:
            rows = [errors_of(list(ops), table, split, seed) for seed in seeds]
            for model in rows[0]:
                score = Score.of(np.concatenate([row[model] for row in rows]))
                results.append({"set": name, "split": split, "model": model, **asdict(score)})
                print(f"  {name:14s} {split:7s} {model:18s} {score}")
                if model == OURS and (objections := score.objections(split)):
                    missed.append(f"{name}, {split} held out: {objections}")
    if noise > QUIET:
        print(f"  the split-half error is above {QUIET:.1%}: the bounds are not asked for")
        missed = []
    print(f"  bounds: {'met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    finish({**document, "noise": noise, "results": results, "missed": missed}, arguments.json)
    return 1 if missed and not arguments.quick else 0


def mobile_ops(is_quick: bool) -> dict[OpSpec, None]:
    """Ops of the mobile space at several widths and resolutions."""
    widths, resolutions = (0.5, 0.75, 1.0, 1.4), (96, 128, 160, 192, 224)
    if is_quick:
        widths, resolutions = (0.5, 1.0), (64, 96)
    spaces = [
        open_space(f"mobile?resolution={resolution}&width={width}")
        for width in widths
        for resolution in resolutions
    ]
    return {op: None for space in spaces for op in space.all_ops() if not op.is_free}


def nb201_ops(is_quick: bool) -> dict[OpSpec, None]:
    """Ops of the cells and reductions of NAS-Bench-201, at more widths and sizes than its three."""
    widths, sizes = (4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 80, 96, 128), range(4, 68, 4)
    if is_quick:
        widths, sizes = (8, 16, 24, 32), range(8, 40, 8)
    ops: dict[OpSpec, None] = {}
    for width in widths:
        for size in sizes:
            shape = (width, size, size)
            for kernel in (1, 3):
                ops[OpSpec.make("relu_conv", shape, out=width, kernel=kernel)] = None
            ops[OpSpec.make("avg_pool", shape, kernel=3)] = None
            ops[OpSpec.make("residual_block", shape, out=2 * width, stride=2)] = None
    return ops


@dataclass(frozen=True)
class Score:
    """Of relative errors; an op that was refused counts as infinitely wrong."""

    n: int
    refused: int
    median: float
    within_5: float
    within_10: float
    within_15: float

    @classmethod
    def of(cls, errors: Values) -> Score:
        shares = [float(np.mean(errors <= limit)) for limit in (0.05, 0.10, 0.15)]
        refused = int(np.isinf(errors).sum())
        return cls(len(errors), refused, float(np.median(errors)), *shares)

    def __str__(self) -> str:
        return (
            f"median {self.median:7.2%}  within 10 % {self.within_10:4.0%}"
            f"  within 15 % {self.within_15:4.0%}  n {self.n}, refused {self.refused}"
        )

    def objections(self, split: str) -> str:
        """Which bounds are missed."""
        median, limit, share = BOUNDS[split]
        within = {0.10: self.within_10, 0.15: self.within_15}[limit]
        found = [f"median {self.median:.2%}"] if self.median > median else []
        return ", ".join(found + ([f"{within:.1%} within {limit:.0%}"] if within < share else []))


OURS = "chosen by Lutier"


def errors_of(ops: list[OpSpec], table: LatencyTable, split: str, seed: int) -> dict[str, Values]:
    """Relative errors of each model on what is held out, all kinds together."""
    found: dict[str, list[Values]] = {}
    for kind in sorted({op.kind for op in ops}):
        alike = [op for op in ops if op.kind == kind and op in table]
        train, test = hold_out(alike, split, seed)
        if len(train) < MIN_OPS or not test:
            continue
        truth = np.array([table.ops[op] for op in test])
        latencies = np.array([table.ops[op] for op in train])
        for model, fit in MODELS.items():
            predicted = fit(kind, train, latencies, seed)(test)
            found.setdefault(model, []).append(np.abs(predicted / truth - 1))
    return {model: np.concatenate(errors) for model, errors in found.items()}


def hold_out(ops: list[OpSpec], split: str, seed: int) -> tuple[list[OpSpec], list[OpSpec]]:
    """What is fitted to, and 30 % of the ops or of the shapes."""
    key = SPLITS["shapes"] if split == "shapes" else (lambda op: op)
    groups = list(dict.fromkeys(map(key, ops)))
    order = np.random.default_rng(seed).permutation(len(groups))
    held_out = {groups[i] for i in order[: round(HELD_OUT * len(groups))]}
    return (
        [op for op in ops if key(op) not in held_out],
        [op for op in ops if key(op) in held_out],
    )


def lutier_model(kind: str, train: list[OpSpec], latencies: Values, seed: int) -> Fitted:
    """Chosen by cross-validation on the training ops; infinite where it refuses."""
    regressor = KindRegressor.fit(kind, train, latencies, seed)

    def predict(specs: Sequence[OpSpec]) -> Values:
        predicted = regressor.predict_ms(specs)
        refused = [bool(regressor.domain.objection(spec)) for spec in specs]
        return np.where(refused, np.inf, predicted)

    return predict


def flops_model(kind: str, train: list[OpSpec], latencies: Values, seed: int) -> Fitted:
    """A constant and a slope, in FLOPs; in bytes for ops that have none."""

    def amount(specs: Sequence[OpSpec]) -> Values:
        return np.array([[float(op.flops or op.bytes_moved)] for op in specs])

    model = LinearRegression().fit(amount(train), latencies)
    return lambda specs: model.predict(amount(specs))


def on_logarithms(make: Callable[[int], object]) -> Callable[..., Fitted]:
    """A scikit-learn regressor on logarithms of the predictors."""

    def fit(kind: str, train: list[OpSpec], latencies: Values, seed: int) -> Fitted:
        model = make_pipeline(StandardScaler(), make(seed))
        model.fit(np.log1p(predictor_matrix(kind, train)), np.log(latencies))
        return lambda specs: np.exp(model.predict(np.log1p(predictor_matrix(kind, specs))))

    return fit


MODELS: dict[str, Callable[..., Fitted]] = {
    OURS: lutier_model,
    "linear in FLOPs": flops_model,
    "gradient boosting": on_logarithms(
        lambda seed: HistGradientBoostingRegressor(min_samples_leaf=3, random_state=seed)
    ),
    "nearest neighbour": on_logarithms(lambda seed: KNeighborsRegressor(1)),
}


if __name__ == "__main__":
    sys.exit(main())
