"""How well ten measurements tell all networks of an unseen device.

Latencies of the 15,625 networks of NAS-Bench-201 on the nine devices that HELP (Lee et al., NeurIPS
2021) trains on are known, and ten of each of its targets. Two protocols: all networks, and HELP's
own (networks 0-899 are the pool that the ten are from, 900-1899 are predicted, in each the slowest
and fastest tenth of the target left out; nothing is known of other networks). In both the ten are
drawn at random, over the seeds, and suggested. Beside it: latencies log-linear in the counts of the
five ops. What can be set in the transfer is chosen by holding out known devices.

    python benchmarks/device_transfer.py --json device_transfer.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from _reporting import finish, header
from scipy.stats import spearmanr

from latency_models.transfer import DeviceTransfer
from latency_models.transfer_features import position_features

DATA = Path("../shared/data/nb201_latency_ms.parquet")
KNOWN = (
    "1080ti_1",
    "1080ti_32",
    "1080ti_256",
    "silver_4114",
    "silver_4210r",
    "samsung_a50",
    "pixel3",
    "essential_ph_1",
    "samsung_s7",
)
TARGETS = ("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "fpga", "eyeriss")
OTHERS = ("titanx_1", "titanx_32", "titanx_256", "gold_6240")
"""HELP chooses its own settings on these; they are unseen here, and have no bounds."""
SUGGESTED_BOUNDS = {"titan_rtx_256": 0.990, "gold_6226": 0.985, "pixel2": 0.900}
"""All networks, the suggested ten."""
HELP_BOUNDS = {"titan_rtx_256": 0.987, "gold_6226": 0.989, "pixel2": 0.802}
"""HELP's protocol: its published figures."""
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SAMPLES = 10
COVERAGE = 0.9
POOL, QUERY = slice(0, 900), slice(900, 1900)

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One way of predicting one target under one protocol.

    Attributes:
        target: the device.
        protocol: ``all`` networks or ``help``.
        way: ``random``, ``suggested``, ``no features`` (suggested), or ``op counts`` (random).
        spearman: mean over the seeds.
        least: the lowest over the seeds.
        error: median relative error, mean over the seeds.
        coverage: share of latencies in their 90 % interval, mean over the seeds; ``None`` where
            there are no intervals.
        bound: least mean Spearman that is asked for, if any.
    """

    target: str
    protocol: str
    way: str
    spearman: float
    least: float
    error: float
    coverage: float | None
    bound: float | None

    @property
    def is_missed(self) -> bool:
        """Whether there is a bound, and it is not met."""
        return self.bound is not None and self.spearman < self.bound


Predict = Callable[[Rows], tuple[Floats, Floats | None]]
"""From measured rows to latencies in ms of all rows and their intervals."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, metavar="FILE")
    parser.add_argument("--seeds", type=int, default=20, help="random draws of the ten")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="two draws, no bounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = 2
    document = header("device_transfer", seed=0)
    if not arguments.data.exists():
        reason = f"no file {arguments.data}: latencies of NAS-Bench-201 (--data FILE)"
        print(f"SKIPPED: {reason}")
        finish({**document, "skipped": reason, "results": []}, arguments.json)
        return 0
    frame = pd.read_parquet(arguments.data).set_index("arch")
    absent = [name for name in TARGETS if name not in frame]
    if absent:
        print(f"not in the file: {', '.join(absent)}")
    present = [name for name in (*TARGETS, *OTHERS) if name in frame]
    figures = [
        *(compare(frame, present, "all", arguments.seeds)),
        *(compare(frame.iloc[: QUERY.stop], present, "help", arguments.seeds)),
    ]
    missed = [f"{one.target} {one.protocol} {one.way}" for one in figures if one.is_missed]
    results = [{**asdict(one), "missed": one.is_missed} for one in figures]
    finish(
        {**document, "absent": absent, "seeds": arguments.seeds, "results": results}, arguments.json
    )
    print(f"\nbounds: {'met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    return 0 if not missed or arguments.quick else 1


def compare(frame: pd.DataFrame, targets: Sequence[str], protocol: str, seeds: int) -> list[Figure]:
    """All ways of predicting all targets under one protocol; prints and returns the figures."""
    known = frame[list(KNOWN)]
    transfer = DeviceTransfer().fit(known, position_features(known.index))
    plain = DeviceTransfer().fit(known)
    counts = np.array([[str(name).count(op) for op in OPS] for name in known.index], dtype=float)
    title = "all networks" if protocol == "all" else "HELP's protocol"
    print(f"\n{title}: {len(frame)} networks on {len(KNOWN)} known devices")
    print(f"  {'target':14s} {'way':12s} Spearman  (least)  median error  in 90 %  bound")
    figures = []
    for target in targets:
        latencies = frame[target]
        pool, query = split(latencies.to_numpy(), protocol)
        drawn = [
            np.random.default_rng(seed).choice(pool, SAMPLES, replace=False)
            for seed in range(seeds)
        ]
        ways: dict[str, tuple[Predict, list[Rows]]] = {
            "random": (adapted(transfer, latencies), drawn),
            "suggested": (adapted(transfer, latencies), [suggested(transfer, frame, pool)]),
            "no features": (adapted(plain, latencies), [suggested(plain, frame, pool)]),
            "op counts": (log_linear(counts, latencies.to_numpy()), drawn),
        }
        for way, (predict, designs) in ways.items():
            figure = judge(target, protocol, way, predict, designs, latencies.to_numpy(), query)
            figures.append(figure)
            show(figure)
    return figures


def split(latencies: Floats, protocol: str) -> tuple[Rows, Rows]:
    """Rows that can be measured, and rows that are predicted."""
    rows = np.arange(len(latencies))
    if protocol == "all":
        return rows, rows
    return trim(rows[POOL], latencies), trim(rows[QUERY], latencies)


def trim(rows: Rows, latencies: Floats) -> Rows:
    """The rows but the slowest and the fastest tenth."""
    ordered = rows[np.argsort(latencies[rows], kind="stable")]
    tenth = len(rows) // 10
    return np.sort(ordered[tenth : len(ordered) - tenth])


def suggested(transfer: DeviceTransfer, frame: pd.DataFrame, pool: Rows) -> Rows:
    return frame.index.get_indexer(transfer.suggest(SAMPLES, frame.index[pool]))


def adapted(transfer: DeviceTransfer, latencies: pd.Series) -> Predict:
    """Predictions of the transfer."""

    def predict(rows: Rows) -> tuple[Floats, Floats]:
        transfer.adapt(latencies.iloc[rows])
        return transfer.predict_ms().to_numpy(), transfer.interval_ms(coverage=COVERAGE).to_numpy()

    return predict


def log_linear(counts: Floats, latencies: Floats) -> Predict:
    """Predictions of a ridge on the counts of ops; the five add up, so one is left out."""
    design = np.column_stack([np.ones(len(counts)), counts[:, 1:]])

    def predict(rows: Rows) -> tuple[Floats, None]:
        measured = design[rows]
        gram = measured.T @ measured + 1e-2 * np.eye(measured.shape[1])
        weights = np.linalg.solve(gram, measured.T @ np.log(latencies[rows]))
        return np.exp(design @ weights), None

    return predict


def judge(
    target: str,
    protocol: str,
    way: str,
    predict: Predict,
    designs: Sequence[Rows],
    latencies: Floats,
    query: Rows,
) -> Figure:
    """Predict from each design, and compare with what was measured."""
    ranks, errors, held = [], [], []
    truth = latencies[query]
    for rows in designs:
        predicted, intervals = predict(rows)
        ranks.append(float(spearmanr(predicted[query], truth).statistic))
        errors.append(float(np.median(np.abs(predicted[query] / truth - 1))))
        if intervals is not None:
            lower, upper = intervals[query].T
            held.append(float(np.mean((lower <= truth) & (truth <= upper))))
    bounds = {
        ("all", "suggested"): SUGGESTED_BOUNDS,
        ("help", "random"): HELP_BOUNDS,
        ("help", "suggested"): HELP_BOUNDS,
    }.get((protocol, way), {})
    return Figure(
        target,
        protocol,
        way,
        float(np.mean(ranks)),
        min(ranks),
        float(np.mean(errors)),
        float(np.mean(held)) if held else None,
        bounds.get(target),
    )


def show(figure: Figure) -> None:
    held = "" if figure.coverage is None else f"{figure.coverage:.0%}"
    bound = (
        ""
        if figure.bound is None
        else f"{figure.bound:.3f} {'MISSED' if figure.is_missed else 'met'}"
    )
    print(
        f"  {figure.target:14s} {figure.way:12s} {figure.spearman:8.4f}  ({figure.least:.4f})"
        f"  {figure.error:11.1%}  {held:>7s}  {bound}"
    )


if __name__ == "__main__":
    sys.exit(main())
