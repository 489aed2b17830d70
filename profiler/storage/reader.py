"""StoreReader: a store that is looked at while others may write to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from devices.environment import Environment
from devices.target import Target
from profiler.quality import SOUND
from profiler.storage.connection import RECONNECT_SECONDS
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow, read_rows
from profiler.storage.schema import DONE, FAILED, MEASURING, EnvironmentRow, MeasurementRow

_TABLE = MeasurementRow.__table__
Stamp = tuple[int, datetime | None, int | None]


@dataclass(frozen=True)
class TableFacts:
    """What a store holds of one target in one environment.

    Attributes:
        target: as it is stored.
        environment: the facts of the machine.
        measured: number of finished keys by role.
        failures: number of keys that could not be measured.
        measuring: number of keys that were begun and are not finished.
        judged: number of finished measurements that the rules of quality were asked about.
        sound: number of those that none objects to.
        last_measured: when the last measurement ended, UTC, without a zone; ``None`` where none
            did.
    """

    target: str
    environment: Environment
    measured: Mapping[str, int]
    failures: int
    measuring: int
    judged: int
    sound: int
    last_measured: datetime | None

    @property
    def sound_share(self) -> float | None:
        """Share of the judged measurements that are sound; ``None`` where none was judged."""
        return self.sound / self.judged if self.judged else None


class StoreReader(MeasurementStore):
    """A store of which nothing is changed: methods that write raise :class:`StoreError`.

    Args:
        url: as of :class:`MeasurementStore`. A SQLite file has to be there.

    Raises:
        MissingTableError: there is no database.
        StoreError: its schema is not the current one. Else as :class:`MeasurementStore`.
    """

    def __init__(self, url: str, *, reconnect_seconds: float = RECONNECT_SECONDS) -> None:
        super().__init__(url, reconnect_seconds=reconnect_seconds, read_only=True)

    def overview(self) -> list[TableFacts]:
        """What there is of every target in every environment, the latest measured first."""
        groups = sa.select(
            _TABLE.c.target,
            _TABLE.c.environment_id,
            _TABLE.c.role,
            _TABLE.c.status,
            sa.func.count(_TABLE.c.key.distinct()).label("keys"),
            sa.func.count(_TABLE.c.findings).label("judged"),
            sa.func.sum(sa.case((_TABLE.c.findings == SOUND, 1), else_=0)).label("sound"),
            sa.func.max(_TABLE.c.finished_at).label("last"),
        ).group_by(_TABLE.c.target, _TABLE.c.environment_id, _TABLE.c.role, _TABLE.c.status)
        found: dict[tuple[str, str], list[sa.Row[tuple[object, ...]]]] = {}
        with self._reading() as connection:
            facts = {
                row.id: row.facts
                for row in connection.execute(sa.select(EnvironmentRow.id, EnvironmentRow.facts))
            }
            for row in connection.execute(groups):
                found.setdefault((row.target, row.environment_id), []).append(row)
        tables = [
            _facts(target, Environment.of(facts[environment_id]), rows)
            for (target, environment_id), rows in found.items()
        ]
        return sorted(
            tables, key=lambda each: (each.last_measured or datetime.min, each.target), reverse=True
        )

    def stamp(self, target: Target, environment_id: str) -> Stamp:
        """What changes whenever a table does: how many are finished, when and which the last."""
        done = sa.select(
            sa.func.count(), sa.func.max(_TABLE.c.finished_at), sa.func.max(_TABLE.c.id)
        ).where(
            _TABLE.c.target == str(target),
            _TABLE.c.environment_id == environment_id,
            _TABLE.c.status == DONE,
        )
        with self._reading() as connection:
            count, last, largest = connection.execute(done).one()
            return int(count), last, largest

    def row(self, target: Target, environment_id: str, key: str) -> PortableRow | None:
        """One finished measurement with its timed runs; ``None`` where there is none."""
        with self._reading() as connection:
            rows = read_rows(connection, str(target), environment_id, key)
        return rows[0] if rows else None

    def failure(self, target: Target, environment_id: str, key: str) -> str | None:
        """Why something could not be measured; ``None`` where it was, or was never tried."""
        why = (
            sa.select(_TABLE.c.failure)
            .where(
                _TABLE.c.target == str(target),
                _TABLE.c.environment_id == environment_id,
                _TABLE.c.key == key,
                _TABLE.c.status == FAILED,
            )
            .limit(1)
        )
        with self._reading() as connection:
            row = connection.execute(why).one_or_none()
            return None if row is None else str(row.failure or "")


def _facts(
    target: str, environment: Environment, rows: list[sa.Row[tuple[object, ...]]]
) -> TableFacts:
    done = [row for row in rows if row.status == DONE]

    def keys(status: str) -> int:
        return sum(int(row.keys) for row in rows if row.status == status)

    return TableFacts(
        target,
        environment,
        {str(row.role): int(row.keys) for row in done},
        keys(FAILED),
        keys(MEASURING),
        sum(int(row.judged) for row in done),
        sum(int(row.sound) for row in done),
        max((row.last for row in done if row.last is not None), default=None),
    )
