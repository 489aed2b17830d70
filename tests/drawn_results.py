"""Small results and tables, made by hand, for tests of plots and of the report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from devices.environment import Environment
from devices.target import Target
from latency_models.evaluate import evaluate
from latency_models.lookup import LookupModel
from latency_models.metadata import ModelMetadata, NetworkFigure
from latency_models.network import SumModel
from lutier.networks import draw_networks, network_job
from lutier.plots.evidence import Evidence
from lutier.plots.runs import Run, find_runs
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable
from profiler.visit import Visit
from search.spaces.mobile import mobile_tiny

TARGET = "cpu/onnxruntime?threads=1"
SPACE = mobile_tiny(width=0.25)
FOUND = SPACE.architecture([0, 1, 6, 2, 3, 4, 5, 6, 0])
OTHER = SPACE.architecture([1, 1, 6, 2, 3, 4, 5, 6, 0])
TRIED = SPACE.architecture([2, 2, 6, 2, 3, 4, 5, 6, 0])
ENVIRONMENT = Environment.of({"chip": "a chip", "cores": "2"})


def knas_details(**changed: Any) -> dict[str, Any]:
    """What KNAS leaves: one finalist that was chosen, one that was not."""
    finalist = {
        "score": 7.0,
        "status": "trained",
        "upper_ms": 0.97,
        "validation_accuracy": 0.9,
        "train_loss": [2.0, 1.0],
        "failure": "",
    }
    finalists = [
        {"architecture": FOUND.id, "predicted_ms": 0.9, "measured_ms": 0.94, "test_accuracy": 0.92},
        {"architecture": OTHER.id, "predicted_ms": 0.7, "measured_ms": 0.71, "test_accuracy": 0.88},
    ]
    names = ("space_size", "admissible", "pool", "scored", "measured", "trained")
    return {
        "config": {"pool_size": 50, "k": 2, "score": "mgm", "seed": 3},
        "training": {"epochs": 5, "batch_size": 64, "seed": 3},
        "funnel": dict(zip(names, (1000, 100, 50, 50, 2, 2), strict=True)),
        "finalists": [{**finalist, **each} for each in finalists],
        "model": {"mape": 0.01, "noise_floor": 0.005},
        **changed,
    }


def proxyless_details(**changed: Any) -> dict[str, Any]:
    """What ProxylessNAS leaves: three epochs, one network tried before the one found."""
    losses = ((2.0, None, 1.5, 1.8), (1.5, 1.6, 1.1, 1.2), (1.0, 1.1, 0.9, 0.6))
    names = ("train_loss", "validation_loss", "expected_ms", "entropy")
    history = [
        {"epoch": i, "phase": "search" if i > 1 else "warmup", **dict(zip(names, row, strict=True))}
        for i, row in enumerate(losses, 1)
    ]
    return {
        "config": {"warmup_epochs": 1, "search_epochs": 2, "gradient": "two", "seed": 3},
        "training": {"epochs": 12, "augmentation": None},
        "history": history,
        "probabilities": [[1 / len(block)] * len(block) for block in SPACE.blocks],
        "rounds": [
            {"architecture": TRIED.id, "asked_ms": 1.0, "predicted_ms": 0.99, "measured_ms": 1.1}
            | {"upper_ms": 1.12}
        ],
        "trained": {"train_loss": [2.0, 1.5, 1.2]},
        **changed,
    }


def strategy_details(**changed: Any) -> dict[str, Any]:
    """What a strategy leaves: two networks evaluated, a third that failed."""
    rows = [(FOUND.id, 0.6, ""), (OTHER.id, None, "diverged"), (TRIED.id, 0.5, "")]
    return {
        "config": {"strategy": {"population": 4, "sample": 2}, "evaluations": 3, "epochs": 1},
        "training": {"epochs": 12},
        "evaluations": [
            {"order": i, "architecture": architecture, "value": value, "latency_ms": 0.8 + i / 10}
            | {"seconds": 1.0, "failure": failure}
            for i, (architecture, value, failure) in enumerate(rows)
        ],
        **changed,
    }


def result_document(**changed: Any) -> dict[str, Any]:
    """A ``result.json``."""
    return {
        "method": "knas",
        "architecture": FOUND.id,
        "space": SPACE.name,
        "target": TARGET,
        "environment_id": ENVIRONMENT.id,
        "data": "digits",
        "budget_ms": 1.0,
        "predicted_ms": 0.9,
        "measured_ms": 0.95,
        "measured_interval_ms": [0.94, 0.96],
        "drift": None,
        "accuracy": 0.92,
        "validation_accuracy": 0.9,
        "seed": 3,
        "artifact_sha256": "0" * 64,
        "seconds": 1.0,
        "lutier_version": "0.1.0",
        "details": {},
        **changed,
    }


def write_result(folder: Path, **changed: Any) -> Path:
    """A folder with a result in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result_document(**changed)))
    return folder


def two_runs(folder: Path) -> list[Run]:
    """One result of each method."""
    write_result(folder / "first", details=knas_details())
    write_result(
        folder / "second",
        method="proxyless",
        architecture=OTHER.id,
        accuracy=0.95,
        measured_ms=1.2,
        measured_interval_ms=[1.1, 1.3],
        details=proxyless_details(),
    )
    return find_runs([folder])


def op_ms(number: int) -> float:
    """The latency of an op by its place in the space."""
    return 0.01 * (number + 1)


def fill_store(
    url: str,
    *,
    left_out: Iterable[str] = (),
    more: Mapping[str, float] | None = None,
    findings: Mapping[str, tuple[str, ...]] | None = None,
    networks: int = 3,
    environment: Environment = ENVIRONMENT,
) -> None:
    """A store with the table of the space, every op ten visits of two runs.

    Args:
        url: of the store.
        left_out: keys that are not measured.
        more: further rows, key and latency in ms.
        findings: what rules of quality say of a key; of all others nothing is wrong.
        networks: whole networks that are measured.
        environment: of the machine.
    """
    target, protocol, without = Target.parse(TARGET), Protocol(), set(left_out)
    rows = [(op.key, "op", op_ms(i), ()) for i, op in enumerate(SPACE.all_ops())]
    rows += [
        (job.key, "network", 1.0 + i, job.ops)
        for i, job in enumerate(
            network_job(SPACE, each) for each in draw_networks(SPACE, networks, seed=0)
        )
    ]
    rows += [(key, "op", ms, ()) for key, ms in (more or {}).items()]
    with MeasurementStore(url) as store:
        for key, role, ms, ops in rows:
            if key in without:
                continue
            id_ = store.begin(key, role, target, environment, protocol, "ab" * 32, ops)
            visits = [[ms * (1 + v / 1000), ms * 1.2] for v in range(10)]
            for number, runs in enumerate(visits):
                store.add_visit(id_, number, Visit(tuple(runs), (0.05,)))
            summary = summarise(visits)
            said = (findings or {}).get(key, ())
            store.finish(id_, replace(summary, findings=said))


def made_evidence(**changed: Any) -> Evidence:
    """Evidence with a table and a model, without a store."""
    ops = {op: op_ms(i) for i, op in enumerate(SPACE.all_ops())}
    errors = dict.fromkeys(ops, 0.02)
    table = LatencyTable.from_ops(TARGET, ops, ENVIRONMENT, relative_errors=errors)
    networks = draw_networks(SPACE, 6, seed=0)
    figures = tuple(
        NetworkFigure(each.id, 1.0 + i, 1.01 + i, 0.9 + i) for i, each in enumerate(networks)
    )
    measured = np.array([figure.measured_ms for figure in figures[:3]])
    evaluation = evaluate([figure.predicted_ms for figure in figures[:3]], measured, 0.004)
    metadata = ModelMetadata(
        target=TARGET,
        space=SPACE.name,
        environment_id=ENVIRONMENT.id,
        table_digest=table.digest,
        split_half_error=0.004,
        seed=0,
        calibration=figures[3:],
        held_out=figures[:3],
        evaluation=evaluation,
        uncalibrated=evaluation,
        scores={},
    )
    values: dict[str, Any] = {
        "table": table,
        "models": {SPACE.name: (SumModel(LookupModel(table)), metadata)},
        "store": "sqlite:///lutier.db",
    }
    return Evidence(TARGET, **{**values, **changed})
