"""A result measured again, on every target it was searched for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.errors import MissingTableError
from devices.op_profile import OpTime
from devices.target import Target
from lutier.opening import open_measured
from lutier.results import SearchResult, network_job
from lutier.settings import Settings
from lutier.storage import open_store
from lutier.verification import Verified, time_ops, verify_network
from profiler.table import LatencyTable


@dataclass(frozen=True)
class Check:
    """A network as it was measured now on a target, beside what its search said.

    Attributes:
        target: that was measured.
        budget_ms: latency it must not exceed there.
        predicted_ms: by the model of the search.
        measured_before_ms: at the end of the search.
        verified: as it was measured now.
        environment_id: of the machine now.
        searched_environment_id: of the machine at the end of the search.
        is_same_table: whether the table is the one that predicted; ``None`` where there is none.
    """

    target: Target
    budget_ms: float
    predicted_ms: float
    measured_before_ms: float
    verified: Verified
    environment_id: str
    searched_environment_id: str
    is_same_table: bool | None

    @property
    def is_within(self) -> bool:
        """Whether the median is within the budget."""
        return self.verified.summary.median_ms <= self.budget_ms

    @property
    def is_same_environment(self) -> bool:
        """Whether the machine is as it was at the end of the search."""
        return self.environment_id == self.searched_environment_id

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        summary = self.verified.summary
        return {
            "target": str(self.target),
            "environment_id": self.environment_id,
            "same_environment": self.is_same_environment,
            "same_table": self.is_same_table,
            "budget_ms": self.budget_ms,
            "predicted_ms": self.predicted_ms,
            "measured_before_ms": self.measured_before_ms,
            "measured_ms": summary.median_ms,
            "measured_interval_ms": [summary.ci_low_ms, summary.ci_high_ms],
            "split_half_error": summary.split_half,
            "drift": self.verified.drift,
            "within_budget": self.is_within,
        }


def verify_result(settings: Settings, folder: Path, result: SearchResult) -> list[Check]:
    """Measure the network of a result again, on its main target first.

    Raises:
        ArtifactError: its weights are missing.
        DeviceError, MissingExtraError: a target cannot be measured.
    """
    job = network_job(folder, result)
    specs = result.load_space().ops(result.load_architecture())
    checks = []
    for searched in _searched(result):
        target = Target.parse(searched["target"])
        with open_measured(settings, target) as device, open_store(settings) as store:
            try:
                table = LatencyTable.load(store, target)
            except MissingTableError:
                table = None
            verified = verify_network(
                job,
                specs,
                device,
                target,
                settings.protocol(target),
                table,
                searched["budget_ms"],
                settings.seed,
            )
            check = Check(
                target,
                searched["budget_ms"],
                searched["predicted_ms"],
                searched["measured_ms"],
                verified,
                device.environment(target).id,
                searched["environment_id"],
                None if table is None else table.digest == searched["table_digest"],
            )
        checks.append(check)
    return checks


def time_ops_again(settings: Settings, folder: Path, result: SearchResult) -> tuple[OpTime, ...]:
    """The time of each operation of a result's network on its main target, a phone.

    Raises:
        InputError, DeviceError: as :func:`lutier.verification.time_ops`.
    """
    target = result.load_target()
    with open_measured(settings, target) as device:
        return time_ops(network_job(folder, result), device, target)


def _searched(result: SearchResult) -> Iterator[dict[str, Any]]:
    """What a search said of each target."""
    yield {
        "target": result.target,
        "budget_ms": result.budget_ms,
        "predicted_ms": result.predicted_ms,
        "measured_ms": result.measured_ms,
        "environment_id": result.environment_id,
        "table_digest": result.details.get("table_digest"),
    }
    yield from result.details.get("also", ())
