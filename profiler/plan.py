"""What is left to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.environment import Environment
from devices.target import Target
from profiler.jobs import Job
from profiler.protocol import Protocol
from profiler.storage.database import MeasurementStore
from profiler.storage.schema import DONE, FAILED


@dataclass(frozen=True)
class Plan:
    """What is left to measure.

    Attributes:
        todo: jobs to measure, in the order they were asked for, each key once.
        stored: keys that are measured already.
        failed: keys that failed before and are not tried again.
    """

    todo: tuple[Job, ...]
    stored: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def planned(self) -> int:
        """How many distinct ops and networks were asked for."""
        return len(self.todo) + len(self.stored) + len(self.failed)


def make_plan(
    jobs: Sequence[Job],
    store: MeasurementStore,
    target: Target,
    environment: Environment,
    protocol: Protocol,
    *,
    retry_failed: bool = False,
) -> Plan:
    """Leave out what the store has for this target, environment and protocol.

    Args:
        jobs: what is wanted; a key that comes twice is wanted once.
        store: where to look.
        target: what is to be measured on.
        environment: the machine as it is now.
        protocol: how it is to be measured.
        retry_failed: whether to try again what failed before.
    """
    statuses = store.statuses(target, environment, protocol)
    wanted = {job.key: job for job in jobs}
    skipped = {DONE} if retry_failed else {DONE, FAILED}
    return Plan(
        todo=tuple(job for key, job in wanted.items() if statuses.get(key) not in skipped),
        stored=tuple(key for key in wanted if statuses.get(key) == DONE),
        failed=tuple(key for key in wanted if statuses.get(key) == FAILED and not retry_failed),
    )
