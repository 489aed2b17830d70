"""The store: a database of measurements, on SQLite or PostgreSQL."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from devices.environment import Environment
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import Summary
from profiler.storage.claims import (
    ClaimBook,
    Worker,
    hold,
    insert_facts,
    insert_settings,
    let_go,
    select_held,
)
from profiler.storage.connection import RECONNECT_SECONDS, Database, utc_now
from profiler.storage.portable import PortableRow, StoredRows, read_rows, write_rows
from profiler.storage.schema import (
    DONE,
    FAILED,
    MEASURING,
    EnvironmentRow,
    MeasurementRow,
    VisitRow,
)
from profiler.visit import Scale, Visit

_FAILURE_LIMIT = 2000

# Statements that run for every model or visit are made once: making one takes longer than running
# it on SQLite.
_MEASUREMENTS = MeasurementRow.__table__
_VISITS = VisitRow.__table__
_OF_JOB = ("target", "environment_id", "protocol_id", "key")
_FIND_JOB = sa.select(
    *(_MEASUREMENTS.c[name] for name in ("id", "status", "artifact_sha256", "ops"))
).where(*(_MEASUREMENTS.c[name] == sa.bindparam(name) for name in _OF_JOB))
_VISIT_VALUES = {
    name: sa.bindparam(name, type_=_VISITS.c[name].type)
    for name in ("number", "samples_ms", "reference_ms", "measured_at")
}
_CHANGE = sa.update(MeasurementRow).where(_MEASUREMENTS.c.id == sa.bindparam("measurement"))
_ADD_VISIT = sa.insert(VisitRow)
_ADD_VISIT_IF_HELD = (
    sa.insert(VisitRow)
    .from_select(["measurement_id", *_VISIT_VALUES], select_held(*_VISIT_VALUES.values()))
    .execution_options(preserve_rowcount=True)
)


@dataclass(frozen=True)
class Begun:
    """A measurement that is begun.

    Attributes:
        key: of the op or network.
        role: see :mod:`profiler.storage.schema`.
        artifact_sha256: of the model file, where there is one.
        ops: keys of the ops a network is made of, where that is to be kept.
    """

    key: str
    role: str
    artifact_sha256: str | None = None
    ops: tuple[str, ...] = ()


class MeasurementStore:
    """Measurements of all targets. Every method is one committed transaction.

    Contract: a row that a method has returned from is on disk; killing the process at any instant
    loses nothing that was returned from. Several processes may use one store at once. Where a
    method takes a worker, it writes only what that worker has claimed (:meth:`claim_book`).

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE``. A SQLite file is
            made where there is none; the schema is brought up to date where it is older.
        reconnect_seconds: how long a server may be away between two calls.
        read_only: let nothing be written: no file is made, no schema is changed, and what writes
            raises.

    Raises:
        InputError: not a URL, or not of a database that measurements can be kept in.
        MissingExtraError: the driver of the database is not installed.
        MissingTableError: ``read_only``, and there is no database.
        StoreError: not a Lutier store, a newer schema, or it cannot be opened. It is left
            untouched. Every method raises it where the database fails.
    """

    def __init__(
        self,
        url: str,
        *,
        reconnect_seconds: float = RECONNECT_SECONDS,
        read_only: bool = False,
    ) -> None:
        self._database = Database(url, reconnect_seconds=reconnect_seconds, read_only=read_only)
        self.url = self._database.url

    @property
    def is_private(self) -> bool:
        """Whether no other process can see it: a database in memory."""
        return self._database.is_private

    def claim_book(self, worker: Worker, seconds: float) -> ClaimBook:
        """The claims of a worker, which may give no sign of life for ``seconds``."""
        return ClaimBook(self._database, worker, seconds)

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._database.writing()

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._database.reading()

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def begin(
        self,
        key: str,
        role: str,
        target: Target,
        environment: Environment,
        protocol: Protocol,
        artifact_sha256: str | None,
        ops: Sequence[str] = (),
    ) -> int:
        """Open one measurement: its id. See :meth:`begin_all` and :class:`Begun`."""
        begun = Begun(key, role, artifact_sha256, tuple(ops))
        return self.begin_all([begun], target, environment, protocol)[key]

    def begin_all(
        self,
        begun: Sequence[Begun],
        target: Target,
        environment: Environment,
        protocol: Protocol,
    ) -> dict[str, int]:
        """Open measurements, or find those that were begun before.

        Args:
            begun: what is measured.
            target: what is measured on.
            environment: the machine's facts.
            protocol: how is measured.

        Returns:
            Their ids by key. A failed measurement is opened again.
        """
        of_all = {
            "target": str(target),
            "environment_id": environment.id,
            "protocol_id": protocol.id,
        }
        ids = {}
        with self._transaction() as connection:
            for each in begun:
                of_this = {**of_all, "key": each.key}
                row = connection.execute(_FIND_JOB, of_this).one_or_none()
                if row is None:
                    insert_facts(self._database, connection, environment)
                    insert_settings(self._database, connection, protocol)
                    opened = {"role": each.role, "status": MEASURING, "started_at": utc_now()}
                    self._database.insert_missing(
                        connection, MeasurementRow, [{**of_this, **opened}]
                    )
                    row = connection.execute(_FIND_JOB, of_this).one()
                values: dict[str, Any] = {"ops": " ".join(each.ops) or row.ops}
                if row.status == FAILED:
                    values |= {"status": MEASURING, "failure": None, "finished_at": None}
                if row.status == FAILED or row.artifact_sha256 is None:
                    values["artifact_sha256"] = each.artifact_sha256
                connection.execute(_CHANGE, {"measurement": row.id, **values})
                ids[each.key] = int(row.id)
        return ids

    def add_visit(
        self,
        measurement_id: int,
        number: int,
        visit: Visit,
        *,
        worker: str | None = None,
    ) -> bool:
        """Store one visit.

        Args:
            measurement_id: from :meth:`begin`.
            number: of the visit, from 0.
            visit: its timed runs, and the reference beside them.
            worker: id of the worker that must hold the measurement; anyone may where it is absent.

        Returns:
            Whether it was stored: not where another worker has taken the measurement over.
        """
        values = {
            "measurement_id": measurement_id,
            "number": number,
            "samples_ms": list(visit.samples_ms),
            "reference_ms": list(visit.reference_ms) or None,
            "measured_at": utc_now(),
        }
        with self._transaction() as connection:
            if worker is None:
                connection.execute(_ADD_VISIT, values)
                return True
            held = {**values, "worker_id": worker}
            return connection.execute(_ADD_VISIT_IF_HELD, held).rowcount > 0

    def visits(self, measurement_id: int) -> list[Visit]:
        """Every visit so far, in order.

        Raises:
            StoreError: one of them is damaged.
        """
        return self.visits_of([measurement_id])[measurement_id]

    def visits_of(self, measurement_ids: Collection[int]) -> dict[int, list[Visit]]:
        """The same of several measurements, by their ids."""
        found: dict[int, list[Visit]] = {number: [] for number in measurement_ids}
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(VisitRow.measurement_id, VisitRow.samples_ms, VisitRow.reference_ms)
                .where(VisitRow.measurement_id.in_(found))
                .order_by(VisitRow.measurement_id, VisitRow.number)
            )
            for row in rows:
                visit = Visit.from_columns(row.samples_ms, row.reference_ms)
                found[row.measurement_id].append(visit)
        return found

    def finish(self, measurement_id: int, summary: Summary, *, worker: str | None = None) -> bool:
        """Fill in the summary of a measurement whose protocol is satisfied; the claim ends.

        Returns:
            Whether it was: not where another worker has taken the measurement over.
        """
        return measurement_id in self.finish_all({measurement_id: summary}, worker=worker)

    def finish_all(
        self, summaries: Mapping[int, Summary], *, worker: str | None = None
    ) -> set[int]:
        """The same for several measurements at once.

        Returns:
            Ids of those that were filled in.
        """
        ended = {"status": DONE, "finished_at": utc_now()}
        with self._transaction() as connection:
            held = self._held(connection, summaries, worker)
            rows = [
                {"measurement": number, **ended, **summaries[number].to_columns()}
                for number in sorted(held)
            ]
            if rows:
                connection.execute(_CHANGE, rows)
                self._let_go(connection, held, worker)
            return held

    def fail(self, measurement_id: int, reason: str, *, worker: str | None = None) -> bool:
        """Record that something could not be measured, and why; the claim ends.

        Returns:
            Whether it was: not where another worker has taken the measurement over.
        """
        values = {"status": FAILED, "failure": reason[:_FAILURE_LIMIT], "finished_at": utc_now()}
        with self._transaction() as connection:
            held = self._held(connection, [measurement_id], worker)
            if held:
                connection.execute(_CHANGE, {"measurement": measurement_id, **values})
            self._let_go(connection, held, worker)
            return bool(held)

    def _held(
        self, connection: Connection, measurement_ids: Collection[int], worker: str | None
    ) -> set[int]:
        """Those of some measurements that a worker holds; all of them where there is none."""
        if worker is None:
            return set(measurement_ids)
        return hold(connection, measurement_ids, worker)

    def _let_go(
        self, connection: Connection, measurement_ids: Collection[int], worker: str | None
    ) -> None:
        if worker is not None:
            let_go(connection, measurement_ids)

    def statuses(
        self, target: Target, environment: Environment, protocol: Protocol
    ) -> dict[str, str]:
        """Status by key (``measuring``, ``done``, ``failed``) of what was ever begun."""
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(MeasurementRow.key, MeasurementRow.status).where(
                    MeasurementRow.target == str(target),
                    MeasurementRow.environment_id == environment.id,
                    MeasurementRow.protocol_id == protocol.id,
                )
            )
            return {row.key: row.status for row in rows}

    def measurements(self, target: Target, environment_id: str) -> list[dict[str, Any]]:
        """Finished measurements of a target, oldest first, one mapping of columns each."""
        table = MeasurementRow.__table__
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(table)
                .where(
                    table.c.target == str(target),
                    table.c.environment_id == environment_id,
                    table.c.status == DONE,
                )
                .order_by(table.c.finished_at, table.c.id)
            )
            return [dict(row._mapping) for row in rows]

    def failures(self, target: Target, environment_id: str) -> dict[str, str]:
        """Reason by key of what could not be measured."""
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(MeasurementRow.key, MeasurementRow.failure).where(
                    MeasurementRow.target == str(target),
                    MeasurementRow.environment_id == environment_id,
                    MeasurementRow.status == FAILED,
                )
            )
            return {row.key: row.failure or "" for row in rows}

    def all_samples_ms(self, target: Target, environment_id: str) -> dict[str, list[float]]:
        """Every timed run by key, in order, of the finished measurements of a target.

        In ms, brought to the speed that the table's latencies are given for.
        """
        samples: dict[str, list[float]] = {}
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(
                    MeasurementRow.key,
                    MeasurementRow.exponent,
                    MeasurementRow.nominal_ms,
                    VisitRow.samples_ms,
                    VisitRow.reference_ms,
                )
                .join(VisitRow, VisitRow.measurement_id == MeasurementRow.id)
                .where(
                    MeasurementRow.target == str(target),
                    MeasurementRow.environment_id == environment_id,
                    MeasurementRow.status == DONE,
                )
                .order_by(MeasurementRow.id, VisitRow.number)
            )
            for row in rows:
                visit = Visit.from_columns(row.samples_ms, row.reference_ms)
                scale = Scale(row.exponent or 0.0, row.nominal_ms or math.nan)
                factor = scale.correction(visit)
                samples.setdefault(row.key, []).extend(factor * run for run in visit.samples_ms)
        return samples

    def nominal_ms(
        self, target: Target, environment: Environment, protocol: Protocol
    ) -> float | None:
        """The reference at the speed that a table's latencies are given for.

        It is that of the first measurement; ``None`` where none was brought to any speed.
        """
        table = MeasurementRow.__table__
        with self._reading() as connection:
            value = connection.scalar(
                sa.select(table.c.nominal_ms)
                .where(
                    table.c.target == str(target),
                    table.c.environment_id == environment.id,
                    table.c.protocol_id == protocol.id,
                    table.c.nominal_ms.is_not(None),
                )
                .order_by(table.c.finished_at, table.c.id)
                .limit(1)
            )
            return None if value is None else float(value)

    def environments(self, target: Target) -> list[Environment]:
        """Environments a target has finished measurements in, the latest measured last."""
        latest = sa.func.max(MeasurementRow.finished_at)
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(EnvironmentRow.facts)
                .join(MeasurementRow, MeasurementRow.environment_id == EnvironmentRow.id)
                .where(MeasurementRow.target == str(target), MeasurementRow.status == DONE)
                .group_by(EnvironmentRow.id)
                .order_by(latest)
            )
            return [Environment.of(row.facts) for row in rows]

    def targets(self) -> dict[str, int]:
        """Number of finished measurements by target."""
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(MeasurementRow.target, sa.func.count())
                .where(MeasurementRow.status == DONE)
                .group_by(MeasurementRow.target)
                .order_by(MeasurementRow.target)
            )
            return {row[0]: row[1] for row in rows}

    def portable_rows(self, target: Target, environment_id: str) -> list[PortableRow]:
        """Finished measurements of a target with all that belongs to them, to take elsewhere."""
        with self._reading() as connection:
            return read_rows(connection, str(target), environment_id)

    def add_portable_rows(
        self, target: Target, environment: Environment, rows: Sequence[PortableRow]
    ) -> StoredRows:
        """Store finished measurements made elsewhere, all or none; nothing is overwritten."""
        with self._transaction() as connection:
            self._database.lock(connection)
            return write_rows(self._database, connection, str(target), environment, rows)
