"""Which ops of a space a latency table has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devices.target import Target
from latency_models.domain import Domain
from latency_models.regressors import MIN_OPS
from profiler.ops import OpSpec
from profiler.table import LatencyTable
from search.spaces.base import SearchSpace


@dataclass(frozen=True)
class Coverage:
    """The ops of a space, told apart by where their latency would come from.

    Attributes:
        space: name of the space.
        target: of the table.
        environment_id: of the table.
        measured: keys of ops in the table.
        regressed: keys of ops that are not, but near enough to measured ones for a regressor.
        missing: key of every other op, and why no regressor answers for it.
        networks: whole networks of the space in the table.
        command: what measures the rest; empty where there is none.
    """

    space: str
    target: str
    environment_id: str
    measured: tuple[str, ...]
    regressed: tuple[str, ...]
    missing: dict[str, str]
    networks: int
    command: str

    @property
    def total(self) -> int:
        """Number of ops of the space."""
        return len(self.measured) + len(self.regressed) + len(self.missing)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "space": self.space,
            "target": self.target,
            "environment_id": self.environment_id,
            "ops": self.total,
            "measured": list(self.measured),
            "regressed": list(self.regressed),
            "missing": [{"key": key, "reason": why} for key, why in self.missing.items()],
            "networks": self.networks,
            "command": self.command,
        }


def cover(table: LatencyTable, target: Target, space: SearchSpace) -> Coverage:
    """Tell the ops of a space apart by whether a table has them.

    Args:
        table: the measurements.
        target: what they were made on.
        space: whose ops are wanted.
    """
    by_kind: dict[str, list[OpSpec]] = {}
    for spec in table.ops:
        by_kind.setdefault(spec.kind, []).append(spec)
    domains = {
        kind: Domain.of(kind, specs) for kind, specs in by_kind.items() if len(specs) >= MIN_OPS
    }
    measured, regressed, missing = [], [], {}
    for spec in space.all_ops():
        if spec in table:
            measured.append(spec.key)
            continue
        if spec.kind in domains:
            objection = domains[spec.kind].objection(spec)
        else:
            count = len(by_kind.get(spec.kind, ()))
            objection = f"{count} ops of kind {spec.kind} are measured, a regressor needs {MIN_OPS}"
        if objection:
            missing[spec.key] = objection
        else:
            regressed.append(spec.key)
    is_whole = not (regressed or missing)
    return Coverage(
        space=space.name,
        target=table.target,
        environment_id=table.environment_id,
        measured=tuple(measured),
        regressed=tuple(regressed),
        missing=missing,
        networks=sum(key.rpartition(":")[0] == space.name for key in table.networks),
        command="" if is_whole else f"lutier profile {target.flags} --space '{space.name}'",
    )
