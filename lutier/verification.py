"""Measuring a network now, and saying how the machine's speed has changed since its table."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.android import AndroidDevice
from devices.artifact import ArtifactFolder
from devices.base import Device
from devices.errors import InputError
from devices.op_profile import OpTime
from devices.target import Target
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.quality import Summary
from profiler.run import measure_now
from profiler.table import LatencyTable

MAX_ANCHORS = 8
MAX_DOUBLINGS = 2
_OP_RUNS = 20


@dataclass(frozen=True)
class Verified:
    """A network as it was measured now.

    Attributes:
        summary: its latency.
        artifact_sha256: of the model file that was measured, in hex.
        drift: how much longer ops of the table take now than when the table was measured, as the
            median ratio over some of the network's ops: 1 is the same speed, 1.1 is 10 % slower.
            NaN where none of the ops is in the table.
    """

    summary: Summary
    artifact_sha256: str
    drift: float


def describe_drift(drift: float) -> str:
    """How the machine's speed differs from when its table was measured; empty below 1 %."""
    if not math.isfinite(drift) or abs(drift - 1) < 0.01:
        return ""
    way = "slower" if drift > 1 else "faster"
    return f"the machine is {abs(drift - 1):.0%} {way} than when its table was measured"


def verify_network(
    job: Job,
    ops: Sequence[OpSpec],
    device: Device,
    target: Target,
    protocol: Protocol,
    table: LatencyTable | None,
    budget_ms: float = math.inf,
    seed: int = 0,
) -> Verified:
    """Measure a network in the same rounds as some of its ops that are in the table.

    The speed of a machine comes and goes within seconds. So a network that is over its budget is
    measured again, each time twice as long, and the last and longest measurement counts, whatever
    it says.

    Args:
        job: the network.
        ops: its ops.
        device: opened.
        target: on that device.
        protocol: how to time.
        table: to compare with, if there is one.
        budget_ms: what the network is to be compared with.
        seed: of the order of visits.

    Raises:
        DeviceError: it could not be measured.
    """
    known = table.alone if table is not None else {}
    by_cost = sorted({spec for spec in ops if spec in known}, key=lambda spec: -known[spec])
    anchors = by_cost[:MAX_ANCHORS]
    jobs = [job, *(Job.of_op(spec) for spec in anchors)]
    measured = measure_now(jobs, device, target, protocol, seed=seed)
    for doubling in range(1, MAX_DOUBLINGS + 1):
        if measured[job.key].summary.median_ms <= budget_ms:
            break
        longer = protocol.lengthened(2**doubling)
        measured = measure_now(jobs, device, target, longer, seed=seed + doubling)
    ratios = [measured[spec.key].summary.median_ms / known[spec] for spec in anchors]
    drift = statistics.median(ratios) if ratios else math.nan
    found = measured[job.key]
    return Verified(found.summary, found.artifact_sha256, drift)


def time_ops(job: Job, device: Device, target: Target) -> tuple[OpTime, ...]:
    """The time of each operation of a network on a phone, in a run of its own.

    Raises:
        InputError: not a phone, or its program does not time operations.
        DeviceError: as the phone says.
    """
    if not isinstance(device, AndroidDevice):
        raise InputError(
            f"single operations are not timed on {target.device}", hint="android:SERIAL"
        )
    with tempfile.TemporaryDirectory(prefix="lutier-") as folder:
        artifact = make_artifact(
            job,
            device.artifact_format(target.runtime),
            target.batch,
            ArtifactFolder(Path(folder)),
            target.precision,
        )
        return device.op_times(artifact, target, runs=_OP_RUNS)
