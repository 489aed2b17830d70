"""Measurements that travel: whole rows out of one store and into another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from devices.environment import Environment
from profiler.storage.connection import Database, utc_now
from profiler.storage.schema import DONE, EnvironmentRow, MeasurementRow, ProtocolRow, VisitRow

SUMMARY = (
    "median_ms",
    "ci_low_ms",
    "ci_high_ms",
    "spread",
    "split_half",
    "visits",
    "runs",
    "exponent",
    "nominal_ms",
    "findings",
)
"""Columns of a measurement that say what was measured, and how sure it is."""


@dataclass(frozen=True)
class PortableVisit:
    """One visit.

    Attributes:
        measured_at: UTC, without a zone.
        samples_ms: timed runs in ms.
        reference_ms: the reference beside them in ms; empty where none was timed.
    """

    measured_at: datetime
    samples_ms: tuple[float, ...]
    reference_ms: tuple[float, ...] = ()


@dataclass(frozen=True)
class PortableRow:
    """A finished measurement with all that belongs to it. What is not known is ``None``.

    Attributes:
        key: an op's key, or a network's id.
        role: see :mod:`profiler.storage.schema`.
        median_ms: the latency; the other figures as in :class:`profiler.quality.Summary`.
        protocol: settings of the protocol it was measured under.
        artifact_sha256: of the model file.
        ops: keys of the ops that a network is made of, joined by spaces.
        started_at: UTC, without a zone; so is ``finished_at``.
        recorded: the timed runs, visit by visit; empty where they did not travel.
    """

    key: str
    role: str
    median_ms: float
    ci_low_ms: float | None = None
    ci_high_ms: float | None = None
    spread: float | None = None
    split_half: float | None = None
    visits: int | None = None
    runs: int | None = None
    exponent: float | None = None
    nominal_ms: float | None = None
    findings: str | None = None
    ops: str | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    artifact_sha256: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    recorded: tuple[PortableVisit, ...] = ()

    @cached_property
    def protocol_id(self) -> str:
        """Twelve hex digits that change when a setting changes, as ``Protocol.id``."""
        return settings_id(self.protocol)

    @property
    def figures(self) -> tuple[float | int | str | None, ...]:
        """The values of :data:`SUMMARY`."""
        return tuple(getattr(self, name) for name in SUMMARY)


@dataclass(frozen=True)
class StoredRows:
    """What became of rows that were handed to a store.

    Attributes:
        added: number of rows that are new.
        present: keys that were there with the same figures, and were left as they are.
        conflicting: keys that were there with other figures, which were kept, and their median.
    """

    added: int
    present: tuple[str, ...]
    conflicting: Mapping[str, float]


def settings_id(settings: Mapping[str, Any]) -> str:
    """Twelve hex digits over the settings of a protocol."""
    text = json.dumps(dict(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_rows(
    connection: Connection, target: str, environment_id: str, key: str | None = None
) -> list[PortableRow]:
    """The finished measurements of a target; of two protocols the later measurement of a key.

    Args:
        connection: within a transaction.
        target: which.
        environment_id: which of its environments.
        key: of the only op or network that is wanted; all by default.
    """
    table = MeasurementRow.__table__
    chosen = [
        table.c.target == target,
        table.c.environment_id == environment_id,
        table.c.status == DONE,
    ]
    if key is not None:
        chosen.append(table.c.key == key)
    protocols = connection.execute(sa.select(ProtocolRow.id, ProtocolRow.settings))
    settings = {row.id: row.settings for row in protocols}
    recorded: dict[int, list[PortableVisit]] = {}
    visits = (
        sa.select(
            VisitRow.measurement_id,
            VisitRow.measured_at,
            VisitRow.samples_ms,
            VisitRow.reference_ms,
        )
        .join(table, table.c.id == VisitRow.measurement_id)
        .where(*chosen)
        .order_by(VisitRow.measurement_id, VisitRow.number)
    )
    for visit in connection.execute(visits):
        recorded.setdefault(visit.measurement_id, []).append(
            PortableVisit(
                visit.measured_at, tuple(visit.samples_ms), tuple(visit.reference_ms or ())
            )
        )
    rows = connection.execute(
        sa.select(table).where(*chosen).order_by(table.c.finished_at, table.c.id)
    )
    latest: dict[str, PortableRow] = {}
    for row in rows:
        latest[row.key] = PortableRow(
            key=row.key,
            role=row.role,
            ops=row.ops,
            protocol=settings[row.protocol_id],
            artifact_sha256=row.artifact_sha256,
            started_at=row.started_at,
            finished_at=row.finished_at,
            recorded=tuple(recorded.get(row.id, ())),
            **{name: getattr(row, name) for name in SUMMARY},
        )
    return list(latest.values())


def write_rows(
    database: Database,
    connection: Connection,
    target: str,
    environment: Environment,
    rows: Sequence[PortableRow],
) -> StoredRows:
    """Store finished measurements that were made elsewhere.

    A row without times gets the time of storing. What is there already is never overwritten.

    Args:
        database: what ``connection`` is an open transaction of.
        connection: nobody else writes rows of its kind meanwhile (:meth:`Database.lock`).
        target: what they are stored under.
        environment: the machine they were measured on, as far as it is known.
        rows: of distinct keys.
    """
    if not rows:
        return StoredRows(0, (), {})
    now = utc_now()
    _add_missing(database, connection, environment, rows, now)
    table = MeasurementRow.__table__
    known = sa.select(table).where(
        table.c.target == target,
        table.c.environment_id == environment.id,
        table.c.protocol_id.in_({row.protocol_id for row in rows}),
    )
    stored = {(row.protocol_id, row.key): row for row in connection.execute(known)}
    present, conflicting, fresh = [], {}, []
    for row in rows:
        there = stored.get((row.protocol_id, row.key))
        if there is None:
            fresh.append(row)
        elif tuple(getattr(there, name) for name in SUMMARY) == row.figures:
            present.append(row.key)
        else:
            conflicting[row.key] = there.median_ms
    _add(connection, target, environment.id, fresh, now)
    return StoredRows(len(fresh), tuple(present), conflicting)


def _add_missing(
    database: Database,
    connection: Connection,
    environment: Environment,
    rows: Sequence[PortableRow],
    now: datetime,
) -> None:
    """The environment and the protocols that the rows point to."""
    row = {"id": environment.id, "facts": environment.to_dict(), "first_seen": now}
    database.insert_missing(connection, EnvironmentRow, [row])
    protocols = {row.protocol_id: dict(row.protocol) for row in rows}
    settings = [{"id": name, "settings": protocols[name]} for name in sorted(protocols)]
    database.insert_missing(connection, ProtocolRow, settings)


def _add(
    connection: Connection,
    target: str,
    environment_id: str,
    rows: Sequence[PortableRow],
    now: datetime,
) -> None:
    """New rows: those without recorded runs at once, the others one by one, for their ids."""
    plain = [_values(target, environment_id, row, now) for row in rows if not row.recorded]
    if plain:
        connection.execute(sa.insert(MeasurementRow), plain)
    for row in rows:
        if not row.recorded:
            continue
        values = _values(target, environment_id, row, now)
        insert = sa.insert(MeasurementRow).values(values).returning(MeasurementRow.id)
        measurement_id = connection.scalars(insert).one()
        visits = [
            {
                "measurement_id": measurement_id,
                "number": number,
                "samples_ms": list(visit.samples_ms),
                "reference_ms": list(visit.reference_ms) or None,
                "measured_at": visit.measured_at,
            }
            for number, visit in enumerate(row.recorded)
        ]
        connection.execute(sa.insert(VisitRow), visits)


def _values(target: str, environment_id: str, row: PortableRow, now: datetime) -> dict[str, Any]:
    return {
        "target": target,
        "environment_id": environment_id,
        "protocol_id": row.protocol_id,
        "key": row.key,
        "role": row.role,
        "ops": row.ops,
        "status": DONE,
        "started_at": row.started_at or row.finished_at or now,
        "finished_at": row.finished_at or now,
        "artifact_sha256": row.artifact_sha256,
        **dict(zip(SUMMARY, row.figures, strict=True)),
    }
