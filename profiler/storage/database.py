"""The store: a database of measurements, on SQLite or any server SQLAlchemy speaks to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.orm import Session

from devices.environment import Environment
from devices.errors import InputError, MissingExtraError, StoreError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import Summary
from profiler.storage.schema import (
    DONE,
    FAILED,
    MEASURING,
    EnvironmentRow,
    MeasurementRow,
    ProtocolRow,
    VisitRow,
)

SCHEMA_VERSIONS = ("0001",)
"""Every schema a store ever had, one a migration, the current one last."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_S = 30
_FAILURE_LIMIT = 2000
_SQLITE_MAGIC = b"SQLite format 3\0"


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class MeasurementStore:
    """Measurements of all targets. Every method is one committed transaction.

    Contract: a row that a method has returned from is on disk; killing the process at any instant
    loses nothing that was returned from. Several processes may use one store at once.

    Args:
        url: an SQLAlchemy URL, e.g. ``sqlite:///lutier.db``. A SQLite file is made where there is
            none, its schema brought up to date where it is older.

    Raises:
        StoreError: not a Lutier store, a newer schema, or it cannot be opened. The file is left
            untouched.
    """

    def __init__(self, url: str) -> None:
        self.url = _parse_url(url)
        if self.url.get_backend_name() == "sqlite":
            _inspect_sqlite(self.url)
        self._engine = _engine(self.url)
        try:
            with self._transaction() as connection:
                _migrate(connection, str(self.url))
        except StoreError:
            self.close()
            raise

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """One transaction, committed at its end; what the database refuses is a StoreError."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise _store_error(self.url, error) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

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
    ) -> int:
        """Open a measurement, or find the one that was begun before.

        Returns:
            Its id. A failed measurement is opened again.
        """
        with self._transaction() as connection, Session(connection) as session:
            if session.get(EnvironmentRow, environment.id) is None:
                session.add(
                    EnvironmentRow(
                        id=environment.id, facts=environment.to_dict(), first_seen=_now()
                    )
                )
            if session.get(ProtocolRow, protocol.id) is None:
                session.add(ProtocolRow(id=protocol.id, settings=protocol.to_dict()))
            session.flush()
            row = session.scalar(
                sa.select(MeasurementRow).where(
                    MeasurementRow.target == str(target),
                    MeasurementRow.environment_id == environment.id,
                    MeasurementRow.protocol_id == protocol.id,
                    MeasurementRow.key == key,
                )
            )
            if row is None:
                row = MeasurementRow(
                    target=str(target),
                    environment_id=environment.id,
                    protocol_id=protocol.id,
                    key=key,
                    role=role,
                    status=MEASURING,
                    started_at=_now(),
                    artifact_sha256=artifact_sha256,
                )
                session.add(row)
            elif row.status == FAILED:
                row.status, row.failure, row.finished_at = MEASURING, None, None
                row.artifact_sha256 = artifact_sha256
            session.flush()
            return row.id

    def add_visit(self, measurement_id: int, number: int, samples_ms: Sequence[float]) -> None:
        """Store the timed runs of one visit."""
        with self._transaction() as connection:
            connection.execute(
                sa.insert(VisitRow).values(
                    measurement_id=measurement_id,
                    number=number,
                    samples_ms=list(samples_ms),
                    measured_at=_now(),
                )
            )

    def visits_ms(self, measurement_id: int) -> list[list[float]]:
        """The timed runs in ms of every visit so far, in order."""
        with self._transaction() as connection:
            rows = connection.execute(
                sa.select(VisitRow.samples_ms)
                .where(VisitRow.measurement_id == measurement_id)
                .order_by(VisitRow.number)
            )
            return [list(row.samples_ms) for row in rows]

    def finish(self, measurement_id: int, summary: Summary) -> None:
        """Fill in the summary of a measurement whose protocol is satisfied."""
        self._update(measurement_id, status=DONE, finished_at=_now(), **asdict(summary))

    def fail(self, measurement_id: int, reason: str) -> None:
        """Record that something could not be measured, and why."""
        self._update(
            measurement_id, status=FAILED, finished_at=_now(), failure=reason[:_FAILURE_LIMIT]
        )

    def _update(self, measurement_id: int, **values: Any) -> None:
        with self._transaction() as connection:
            connection.execute(
                sa.update(MeasurementRow).where(MeasurementRow.id == measurement_id).values(values)
            )

    def statuses(
        self, target: Target, environment: Environment, protocol: Protocol
    ) -> dict[str, str]:
        """Status by key (``measuring``, ``done``, ``failed``) of what was ever begun."""
        with self._transaction() as connection:
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
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            rows = connection.execute(
                sa.select(MeasurementRow.key, MeasurementRow.failure).where(
                    MeasurementRow.target == str(target),
                    MeasurementRow.environment_id == environment_id,
                    MeasurementRow.status == FAILED,
                )
            )
            return {row.key: row.failure or "" for row in rows}

    def all_samples_ms(self, target: Target, environment_id: str) -> dict[str, list[float]]:
        """Every timed run in ms by key, in order, of the finished measurements of a target."""
        samples: dict[str, list[float]] = {}
        with self._transaction() as connection:
            rows = connection.execute(
                sa.select(MeasurementRow.key, VisitRow.samples_ms)
                .join(VisitRow, VisitRow.measurement_id == MeasurementRow.id)
                .where(
                    MeasurementRow.target == str(target),
                    MeasurementRow.environment_id == environment_id,
                    MeasurementRow.status == DONE,
                )
                .order_by(MeasurementRow.id, VisitRow.number)
            )
            for row in rows:
                samples.setdefault(row.key, []).extend(row.samples_ms)
        return samples

    def environments(self, target: Target) -> list[Environment]:
        """Environments a target has finished measurements in, the latest measured last."""
        latest = sa.func.max(MeasurementRow.finished_at)
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            rows = connection.execute(
                sa.select(MeasurementRow.target, sa.func.count())
                .where(MeasurementRow.status == DONE)
                .group_by(MeasurementRow.target)
                .order_by(MeasurementRow.target)
            )
            return {row[0]: row[1] for row in rows}


def _parse_url(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"{url!r} is not a database URL", hint="sqlite:///lutier.db") from error


def _engine(url: URL) -> sa.Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return sa.create_engine(url)
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})
    except NoSuchModuleError as error:
        raise InputError(f"no such kind of database: {url.drivername}", str(error)) from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the driver of {url.drivername} is not installed",
            str(error),
            f"pip install {error.name}",
        ) from error
    except (ArgumentError, ValueError) as error:
        raise InputError(
            f"{url.render_as_string(hide_password=True)} is not a usable database URL",
            str(error).partition("\n")[0],
            "sqlite:///lutier.db",
        ) from error
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver's own transaction handling would commit before every CREATE TABLE: a process
    # killed in between would leave half a schema. SQLAlchemy's documented recipe.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # Taking the write lock at once lets a second process wait instead of failing half way.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _inspect_sqlite(url: URL) -> None:
    """Refuse a file that is not ours, before anything could be written to it."""
    if not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            return
        if path.is_dir():
            raise StoreError(
                f"{path} is a folder, not a database", hint=f"--db sqlite:///{path}/lutier.db"
            )
        with path.open("rb") as file:
            magic = file.read(len(_SQLITE_MAGIC))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot use a database at {str(path)[:200]}", str(error)[:300]) from error
    if not magic:
        return
    try:
        # SQLite itself takes a file of one byte for an empty database.
        if magic != _SQLITE_MAGIC:
            raise sqlite3.DatabaseError("file is not a database")
        tables, version = _read_schema(path)
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} is not a Lutier database",
            f"{error}; it was left untouched",
            "--db with another file",
        ) from error
    if tables and (version is None or "measurements" not in tables):
        raise StoreError(
            f"{path} is a database, but not one of Lutier's",
            f"it holds {', '.join(sorted(tables)[:3])}; it was left untouched",
            "--db with another file",
        )
    _check_version(version, str(path))


def _read_schema(path: Path) -> tuple[set[str], str | None]:
    """Names of a SQLite file's tables, and the version of its schema."""
    # Where no write-ahead log lies beside it the file is read as it is: that makes no lock file
    # beside a file which may not be ours, and leaves an interrupted write for its owner to undo.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {str(name) for (name,) in rows}
        if "alembic_version" not in tables:
            return tables, None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return tables, None if row is None else str(row[0])
    finally:
        connection.close()


def _check_version(version: str | None, name: str) -> None:
    """Refuse a schema that this version of Lutier does not know."""
    if version is None or version in SCHEMA_VERSIONS:
        return
    is_newer = version.isdigit() and version > SCHEMA_VERSIONS[-1]
    raise StoreError(
        f"{name} has schema {version[:40]!r}",
        f"this version of Lutier knows up to {SCHEMA_VERSIONS[-1]}; it was left untouched",
        "a newer version of lutier" if is_newer else "--db with another file",
    )


def _migrate(connection: Connection, name: str) -> None:
    """Bring the schema up to date; refuse one that is newer than this version of Lutier."""
    version = None
    if sa.inspect(connection).has_table("alembic_version"):
        version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if version == SCHEMA_VERSIONS[-1]:
        return
    _check_version(version, name)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _store_error(url: URL, error: DBAPIError) -> StoreError:
    reason = str(error.orig or error).partition("\n")[0][:300]
    shown = url.render_as_string(hide_password=True)
    if isinstance(error, IntegrityError):
        return StoreError(
            f"the database {shown} refused a row", reason, "one process a target at a time"
        )
    return StoreError(f"cannot use the database {shown}", reason)
