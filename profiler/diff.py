"""What changed between two latency tables: the machine as a whole, and single ops."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from devices.errors import MissingEntryError
from profiler.table import LatencyTable

LEAST_CHANGE = 0.05
"""Change of an op, beside that of all, below which nothing is flagged, relative."""
NOISE_FACTOR = 3.0
"""The same, in split-half errors."""


@dataclass(frozen=True)
class Change:
    """One op or network in two tables.

    Attributes:
        key: of the op or network.
        role: ``op`` or ``network``.
        first_ms: latency in the first table.
        second_ms: in the second.
        ratio: second over first.
        change: the ratio beside that of all rows, relative: 0.3 is 30 % slower than the rest.
        threshold: the change that would be flagged, relative.
        apart: whether the confidence intervals stay apart once the second table's are divided by
            the ratio of all; ``None`` where one is not known.
    """

    key: str
    role: str
    first_ms: float
    second_ms: float
    ratio: float
    change: float
    threshold: float
    apart: bool | None

    @property
    def is_flagged(self) -> bool:
        """Changed by more than the noise. An interval that is not known excuses nothing."""
        return abs(self.change) > self.threshold and self.apart is not False


@dataclass(frozen=True)
class TableDiff:
    """Two latency tables side by side.

    Attributes:
        first: target and environment of the first table.
        second: of the second.
        ratio: median over common rows of second over first: how much the whole machine differs.
        changes: every common row, the largest change first.
        only_first: keys that the second table lacks.
        only_second: keys that the first table lacks.
        environment: facts that differ, in words.
    """

    first: str
    second: str
    ratio: float
    changes: tuple[Change, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    environment: tuple[str, ...]

    @property
    def flagged(self) -> tuple[Change, ...]:
        """The rows that changed otherwise than the machine did, the largest change first."""
        return tuple(change for change in self.changes if change.is_flagged)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, without the rows that did not change."""
        return {
            "first": self.first,
            "second": self.second,
            "ratio": self.ratio,
            "compared": len(self.changes),
            "without_interval": sum(change.apart is None for change in self.changes),
            "flagged": [asdict(change) for change in self.flagged],
            "only_first": list(self.only_first),
            "only_second": list(self.only_second),
            "environment": list(self.environment),
        }


def diff_tables(first: LatencyTable, second: LatencyTable) -> TableDiff:
    """Compare two tables row by row.

    A row is flagged where both hold: its confidence intervals stay apart after the second table is
    divided by the median ratio of all rows; and its ratio differs from that median by more than 5 %
    and more than three times every split-half error at hand, those of the two tables and the row's
    own two. So a machine that is slower as a whole flags nothing, and neither does noise.

    Raises:
        MissingEntryError: the tables have no row in common.
    """
    before, after = _rows(first), _rows(second)
    common = [key for key in before if key in after]
    if not common:
        raise MissingEntryError(
            f"{_name(first)} and {_name(second)} have no op in common",
            f"they have {len(before)} and {len(after)} rows",
            "lutier table show --ops",
        )
    overall = statistics.median(
        after[key]["median_ms"] / before[key]["median_ms"] for key in common
    )
    errors = (first.split_half_error, second.split_half_error)
    changes = [_change(key, before[key], after[key], overall, errors) for key in common]
    return TableDiff(
        first=_name(first),
        second=_name(second),
        ratio=overall,
        changes=tuple(sorted(changes, key=lambda change: -abs(change.change))),
        only_first=tuple(key for key in before if key not in after),
        only_second=tuple(key for key in after if key not in before),
        environment=tuple(first.environment.differences(second.environment)),
    )


def _name(table: LatencyTable) -> str:
    return f"{table.target}@{table.environment_id}"


def _rows(table: LatencyTable) -> dict[str, Mapping[Any, Any]]:
    return {str(row["key"]): row for row in table.frame.to_dict(orient="records")}


def _change(
    key: str,
    before: Mapping[Any, Any],
    after: Mapping[Any, Any],
    overall: float,
    errors: tuple[float, float],
) -> Change:
    ratio = after["median_ms"] / before["median_ms"]
    noise = (*errors, _known(before["split_half"]), _known(after["split_half"]))
    known = [error for error in noise if math.isfinite(error)]
    return Change(
        key=key,
        role=str(before["role"]),
        first_ms=float(before["median_ms"]),
        second_ms=float(after["median_ms"]),
        ratio=ratio,
        change=ratio / overall - 1,
        threshold=max(LEAST_CHANGE, NOISE_FACTOR * max(known, default=0.0)),
        apart=_are_apart(before, after, overall),
    )


def _known(value: object) -> float:
    """A cell as a number, NaN where it holds none."""
    return float(value) if isinstance(value, int | float) else math.nan


def _are_apart(before: Mapping[Any, Any], after: Mapping[Any, Any], overall: float) -> bool | None:
    low, high = _known(before["ci_low_ms"]), _known(before["ci_high_ms"])
    other_low = _known(after["ci_low_ms"]) / overall
    other_high = _known(after["ci_high_ms"]) / overall
    if not all(math.isfinite(value) for value in (low, high, other_low, other_high)):
        return None
    return other_high < low or high < other_low
