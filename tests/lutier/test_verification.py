from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from devices.environment import Environment
from devices.replay import ReplayDevice, write_recording
from devices.target import Target
from lutier.networks import network_job
from lutier.verification import MAX_ANCHORS, describe_drift, verify_network
from profiler.protocol import Protocol
from profiler.run import Measured, measure_now
from profiler.table import LatencyTable
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny()
NETWORK = SPACE.architecture([0] * 9)
PROTOCOL = Protocol(min_rounds=2, max_rounds=2)


def recorded(tmp_path: Path, factor: float) -> tuple[ReplayDevice, Target, LatencyTable]:
    """A machine on which everything takes ``factor`` times what its table says."""
    latencies_ms = {spec: 0.01 + 1e-9 * spec.flops for spec in SPACE.all_ops()}
    file = tmp_path / "recording.json"
    samples = {spec.key: [factor * value] for spec, value in latencies_ms.items()}
    samples[NETWORK.id] = [1.25]
    recorded_target = Target.parse("cpu/onnxruntime")
    write_recording(file, recorded_target, Environment.of({"chip": "test"}), samples)
    target = Target.parse(f"replay:{file}/onnxruntime")
    return ReplayDevice(str(file)), target, LatencyTable.from_ops(str(target), latencies_ms)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_drift_is_how_much_longer_the_ops_of_the_table_take_now(
    factor: float, tmp_path: Path
) -> None:
    device, target, table = recorded(tmp_path, factor)
    job, ops = network_job(SPACE, NETWORK), SPACE.ops(NETWORK)
    verified = verify_network(job, ops, device, target, PROTOCOL, table)
    assert verified.drift == pytest.approx(factor)
    assert verified.summary.median_ms == 1.25
    assert len(verified.artifact_sha256) == 64


def test_without_a_table_nothing_is_said_of_drift(tmp_path: Path) -> None:
    device, target, _ = recorded(tmp_path, 1.0)
    job, ops = network_job(SPACE, NETWORK), SPACE.ops(NETWORK)
    assert math.isnan(verify_network(job, ops, device, target, PROTOCOL, None).drift)


def test_a_network_over_its_budget_is_measured_again_and_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, target, table = recorded(tmp_path, 1.0)
    job, ops = network_job(SPACE, NETWORK), SPACE.ops(NETWORK)
    protocols: list[Protocol] = []

    def spy(*arguments: Any, **named: Any) -> dict[str, Measured]:
        protocols.append(arguments[3])
        return measure_now(*arguments, **named)

    monkeypatch.setattr("lutier.verification.measure_now", spy)
    short = Protocol(min_rounds=2, max_rounds=2, min_seconds=0.01)
    verify_network(job, ops, device, target, short, table, budget_ms=1.26)
    assert [protocol.min_seconds for protocol in protocols] == [0.01]
    protocols.clear()
    verified = verify_network(job, ops, device, target, short, table, budget_ms=1.24)
    assert [protocol.min_seconds for protocol in protocols] == [0.01, 0.02, 0.04]
    assert verified.summary.median_ms == 1.25


def test_there_are_more_ops_than_anchors() -> None:
    assert len(set(SPACE.ops(NETWORK))) > MAX_ANCHORS


def test_drift_in_words() -> None:
    assert "10% slower" in describe_drift(1.1)
    assert "20% faster" in describe_drift(0.8)
    assert describe_drift(1.005) == describe_drift(math.nan) == ""
