"""Who is measuring what: workers, and the measurements each of them has to itself.

A worker is a process that profiles one target in one environment under one protocol. It gives signs
of life; past its expiry without one it counts as dead, and its claims go to whoever asks next. A
measurement is claimed by one worker at a time, since a claim is a row whose key is the measurement.
Every method is one transaction, and the clock is the database's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from devices.environment import Environment
from devices.target import Target
from profiler.protocol import Protocol
from profiler.storage.connection import Database, utc_now
from profiler.storage.schema import (
    DONE,
    FAILED,
    MEASURING,
    ClaimRow,
    EnvironmentRow,
    MeasurementRow,
    ProtocolRow,
    WorkerRow,
)

_CLAIMS = ClaimRow.__table__


@dataclass(frozen=True)
class Worker:
    """A process that profiles.

    Attributes:
        id: no other process ever has it.
        host: name of its machine, for people to read.
        process: what its own machine knows it by (:mod:`profiler.processes`).
        target: what it measures on.
        environment: the facts of that machine.
        protocol: how it measures.
    """

    id: str
    host: str
    process: str
    target: Target
    environment: Environment
    protocol: Protocol


@dataclass(frozen=True)
class Wanted:
    """A measurement that a worker would like to make."""

    key: str
    role: str


@dataclass(frozen=True)
class Taken:
    """What a worker was given.

    Attributes:
        ids: of the measurements, by key.
        held: keys that were asked for and that other workers hold.
        hosts: names of the machines of these workers.
    """

    ids: dict[str, int]
    held: tuple[str, ...]
    hosts: tuple[str, ...]


class ClaimBook:
    """The claims of one worker in one database.

    Args:
        database: where they are written down.
        worker: whose they are.
        seconds: how long the worker may give no sign of life.
    """

    def __init__(self, database: Database, worker: Worker, seconds: float) -> None:
        self._database = database
        self._worker = worker
        self._expiry = timedelta(seconds=seconds)

    def sign_on(self, *, alone: bool = False, dead: Collection[str] = ()) -> tuple[str, ...]:
        """Make the worker known, before it claims anything.

        Args:
            alone: only where no other worker measures on the same device, on whatever target.
            dead: ids of workers that are known to be no more, expired or not.

        Returns:
            Names of the machines of those others: where there are any, it was not made known.
        """
        with self._database.writing() as connection:
            self._database.lock(connection)
            now = self._database.now(connection)
            if alone:
                others = [each for each in self._on_device(connection, now) if each.id not in dead]
                if others:
                    return tuple(sorted({each.host for each in others}))
            insert_facts(self._database, connection, self._worker.environment)
            insert_settings(self._database, connection, self._worker.protocol)
            self._renew(connection, now, is_waiting=False)
        return ()

    def processes_on_device(self) -> dict[str, str]:
        """Process by worker, of the other workers on the same device that gave signs of life."""
        with self._database.reading() as connection:
            found = self._on_device(connection, self._database.now(connection))
            return {row.id: row.process for row in found}

    def _on_device(self, connection: Connection, now: datetime) -> list[Any]:
        rows = connection.execute(
            sa.select(WorkerRow.id, WorkerRow.host, WorkerRow.process, WorkerRow.target).where(
                WorkerRow.expires_at > now, WorkerRow.id != self._worker.id
            )
        )
        device = self._worker.target.device
        return [row for row in rows if Target.parse(row.target).device == device]

    def renew(self) -> None:
        """Give a sign of life."""
        with self._database.writing() as connection:
            self._renew(connection, self._database.now(connection))

    def sign_off(self) -> None:
        """Let everything go."""
        with self._database.writing() as connection:
            self._remove(connection, [self._worker.id])

    def processes(self) -> dict[str, str]:
        """Process by worker, of all workers on the same target but this one."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(WorkerRow.id, WorkerRow.process).where(
                    self._on_same_target(), WorkerRow.id != self._worker.id
                )
            )
            return {row.id: row.process for row in rows}

    def waiting(self) -> int:
        """How many other workers on the same target were left without anything to measure."""
        with self._database.reading() as connection:
            count = connection.scalar(
                sa.select(sa.func.count()).where(
                    self._on_same_target(),
                    WorkerRow.id != self._worker.id,
                    WorkerRow.is_waiting,
                    WorkerRow.expires_at > self._database.now(connection),
                )
            )
            return int(count or 0)

    def take(
        self,
        wanted: Sequence[Wanted],
        size: Callable[[int, int], int],
        *,
        dead: Collection[str] = (),
        retry_failed: bool = False,
    ) -> Taken:
        """Claim some measurements that nobody holds and nobody has finished.

        Args:
            wanted: what the worker would like, the first first.
            size: told how many of these are free and how many workers there are, says how many
                to take.
            dead: ids of workers that are known to be no more, expired or not.
            retry_failed: whether what has failed is free too.
        """
        with self._database.writing() as connection:
            self._database.lock(connection)
            now = self._database.now(connection)
            expired = connection.scalars(
                sa.select(WorkerRow.id).where(
                    WorkerRow.expires_at <= now, WorkerRow.id != self._worker.id
                )
            )
            self._remove(connection, {*expired, *dead})
            held, free = self._sort(connection, wanted, retry_failed=retry_failed)
            workers = {
                *connection.scalars(sa.select(WorkerRow.id).where(self._on_same_target())),
                self._worker.id,
            }
            chosen = free[: size(len(free), len(workers))] if free else []
            self._renew(connection, now, is_waiting=not chosen)
            ids = self._open(connection, chosen)
            claims = [
                {"measurement_id": number, "worker_id": self._worker.id} for number in ids.values()
            ]
            if claims:
                connection.execute(sa.insert(ClaimRow), claims)
            hosts = connection.scalars(
                sa.select(WorkerRow.host).where(WorkerRow.id.in_(set(held.values()))).distinct()
            )
            return Taken(ids, tuple(held), tuple(sorted(hosts)))

    def give_back(self, measurement_ids: Collection[int]) -> None:
        """Let others have some measurements; their visits stay."""
        with self._database.writing() as connection:
            connection.execute(
                sa.delete(ClaimRow).where(
                    ClaimRow.worker_id == self._worker.id,
                    ClaimRow.measurement_id.in_(measurement_ids),
                )
            )

    def _on_same_target(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            WorkerRow.target == str(self._worker.target),
            WorkerRow.environment_id == self._worker.environment.id,
            WorkerRow.protocol_id == self._worker.protocol.id,
        )

    def _renew(
        self, connection: Connection, now: datetime, *, is_waiting: bool | None = None
    ) -> None:
        """A worker that others took for dead is known again, without the claims it had."""
        values: dict[str, object] = {"expires_at": now + self._expiry}
        if is_waiting is not None:
            values["is_waiting"] = is_waiting
        changed = connection.execute(
            sa.update(WorkerRow).where(WorkerRow.id == self._worker.id).values(values)
        )
        if changed.rowcount:
            return
        connection.execute(
            sa.insert(WorkerRow).values(
                id=self._worker.id,
                target=str(self._worker.target),
                environment_id=self._worker.environment.id,
                protocol_id=self._worker.protocol.id,
                host=self._worker.host[:255],
                process=self._worker.process[:200],
                **{"is_waiting": False, **values},
            )
        )

    def _remove(self, connection: Connection, worker_ids: Collection[str]) -> None:
        if worker_ids:
            connection.execute(sa.delete(ClaimRow).where(ClaimRow.worker_id.in_(worker_ids)))
            connection.execute(sa.delete(WorkerRow).where(WorkerRow.id.in_(worker_ids)))

    def _sort(
        self, connection: Connection, wanted: Sequence[Wanted], *, retry_failed: bool
    ) -> tuple[dict[str, str], list[Wanted]]:
        """Worker by key of what others hold, and what is free."""
        rows = connection.execute(
            sa.select(MeasurementRow.key, MeasurementRow.status, ClaimRow.worker_id)
            .join(ClaimRow, ClaimRow.measurement_id == MeasurementRow.id, isouter=True)
            .where(self._of_same_target())
        )
        standing = {row.key: (row.status, row.worker_id) for row in rows}
        finished = {DONE} if retry_failed else {DONE, FAILED}
        held: dict[str, str] = {}
        free: list[Wanted] = []
        for each in wanted:
            status, holder = standing.get(each.key, (None, None))
            if holder is not None and holder != self._worker.id:
                held[each.key] = holder
            elif holder is None and status not in finished:
                free.append(each)
        return held, free

    def _of_same_target(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            MeasurementRow.target == str(self._worker.target),
            MeasurementRow.environment_id == self._worker.environment.id,
            MeasurementRow.protocol_id == self._worker.protocol.id,
        )

    def _open(self, connection: Connection, chosen: Sequence[Wanted]) -> dict[str, int]:
        """Ids of the chosen measurements by key, in the order they were asked for."""
        rows = [
            {
                "target": str(self._worker.target),
                "environment_id": self._worker.environment.id,
                "protocol_id": self._worker.protocol.id,
                "key": each.key,
                "role": each.role,
                "status": MEASURING,
                "started_at": utc_now(),
            }
            for each in chosen
        ]
        self._database.insert_missing(connection, MeasurementRow, rows)
        found = connection.execute(
            sa.select(MeasurementRow.key, MeasurementRow.id).where(self._of_same_target())
        )
        ids = {row.key: row.id for row in found}
        return {each.key: ids[each.key] for each in chosen}


def insert_facts(database: Database, connection: Connection, environment: Environment) -> None:
    """Store the facts of a machine, where they are not known yet."""
    row = {"id": environment.id, "facts": environment.to_dict(), "first_seen": utc_now()}
    database.insert_missing(connection, EnvironmentRow, [row])


def insert_settings(database: Database, connection: Connection, protocol: Protocol) -> None:
    """Store the settings of a protocol, where they are not known yet."""
    row = {"id": protocol.id, "settings": protocol.to_dict()}
    database.insert_missing(connection, ProtocolRow, [row])


def select_held(*columns: Any) -> sa.Select[Any]:
    """The claim of one worker on one measurement: its id, then other columns; no row without one.

    Parameters ``measurement_id`` and ``worker_id``. Nobody takes the claim away until the
    transaction ends: who tries waits.
    """
    return (
        sa.select(_CLAIMS.c.measurement_id, *columns)
        .where(
            _CLAIMS.c.measurement_id == sa.bindparam("measurement_id"),
            _CLAIMS.c.worker_id == sa.bindparam("worker_id"),
        )
        .with_for_update(read=True)
    )


def hold(connection: Connection, measurement_ids: Collection[int], worker_id: str) -> set[int]:
    """Those of some measurements that a worker holds, and keeps until the transaction ends."""
    held = (
        sa.select(ClaimRow.measurement_id)
        .where(ClaimRow.measurement_id.in_(measurement_ids), ClaimRow.worker_id == worker_id)
        .order_by(ClaimRow.measurement_id)
        .with_for_update(read=True)
    )
    return set(connection.scalars(held))


def let_go(connection: Connection, measurement_ids: Collection[int]) -> None:
    """Drop the claims on some measurements."""
    connection.execute(sa.delete(ClaimRow).where(ClaimRow.measurement_id.in_(measurement_ids)))
