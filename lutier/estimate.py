"""How long a profile will take, before it is begun."""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.artifact import ArtifactFolder
from devices.base import Device
from devices.errors import InputError
from devices.target import Target
from profiler.jobs import Job
from profiler.kernels import KernelSpec
from profiler.ops import OpSpec
from profiler.plan import Plan
from profiler.protocol import Protocol
from profiler.reference import REFERENCE_OP, load_reference

_REFERENCE_RUNS = 3
"""Of the reference between two visits."""


@dataclass(frozen=True)
class Estimate:
    """What a profile would do.

    Attributes:
        planned: distinct ops and networks asked for.
        ops: of these, ops.
        stored: how many are in the store already.
        failed: how many failed before and are not tried again.
        todo: how many are left to measure.
        least_seconds: expected time to load them and to make the least rounds; NaN where the device
            cannot run the reference.
        most_seconds: the same with all the time that the protocol allows.
    """

    planned: int
    ops: int
    stored: int
    failed: int
    todo: int
    least_seconds: float
    most_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dict(vars(self))


def estimate(plan: Plan, ops: int, device: Device, target: Target, protocol: Protocol) -> Estimate:
    """Time the reference, and expect all else to take as long for each FLOP, and no less.

    Networks of several sizes and kinds differ from that by a factor of two or so.

    Args:
        plan: what is left to measure.
        ops: how many of what is planned are ops.
        device: opened.
        target: on that device.
        protocol: how it is to be timed.
    """
    nodes = [_flops(job) for job in plan.todo]
    load_s, run_ms = _time_reference(device, target) if nodes else (0.0, 0.0)
    runs = protocol.warmup_runs + protocol.timed_runs
    visit_ms = sum(
        runs * sum(run_ms * max(flops / REFERENCE_OP.flops, 0.05) for flops in each)
        + _REFERENCE_RUNS * run_ms
        for each in nodes
    )
    loading_s = load_s * sum(map(len, nodes))
    rounds_s = max(protocol.min_rounds * visit_ms / 1e3, protocol.min_seconds if nodes else 0.0)
    most_s = max(rounds_s, min(protocol.max_rounds * visit_ms / 1e3, protocol.max_seconds))
    return Estimate(
        planned=plan.planned,
        ops=ops,
        stored=len(plan.stored),
        failed=len(plan.failed),
        todo=len(plan.todo),
        least_seconds=round(loading_s + rounds_s, 1),
        most_seconds=round(loading_s + most_s, 1),
    )


def _flops(job: Job) -> list[int]:
    """FLOPs of each op or kernel of a job."""
    if job.role == "call":
        return []
    keys = job.ops or (job.key,)
    if job.model_file is None:
        return [OpSpec.parse(key).flops for key in keys]
    try:
        specs = [KernelSpec.parse(key) for key in keys]
    except InputError:
        # A file that belongs to all kernels, and is none.
        return []
    return [spec.flops for spec in specs for _ in range(1 if job.ops else spec.copies)]


def _time_reference(device: Device, target: Target) -> tuple[float, float]:
    """Seconds to write and load the reference, and its latency in ms; NaN where it cannot run."""
    with ExitStack() as stack:
        folder = ArtifactFolder(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        # The first file takes longer: whatever writes it is imported.
        load_reference(device, target, folder, stack)
        start = time.monotonic()
        reference = load_reference(device, target, folder, stack)
        seconds = time.monotonic() - start
        if reference is None:
            return math.nan, math.nan
        return seconds, min(reference.time_ms() for _ in range(5))
