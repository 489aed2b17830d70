"""A connection to SQLite or PostgreSQL: transactions, the clock, and errors in one line."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)

from devices.errors import InputError, MissingExtraError, MissingTableError, StoreError
from profiler.storage.interrupts import held_back
from profiler.storage.read_only import (
    not_current,
    postgresql_reader,
    require_file,
    sqlite_reader,
)
from profiler.storage.versions import inspect_file, is_current, migrate

RECONNECT_SECONDS = 10.0
"""How long a server that was there may be away before it counts as gone: a restart."""

_log = logging.getLogger(__name__)
_BUSY_TIMEOUT_S = 30
_IDLE_TIMEOUT_MS = 30_000
_RETRY_INTERVAL_S = 0.25
_READ_ONLY = "lutier_read_only"
_LOCK = 0x4C55544945  # "LUTIE": the advisory lock of migrations and claims
_POSTGRESQL = "postgresql+psycopg"
_EXAMPLE = "sqlite:///lutier.db or postgresql+psycopg://USER@HOST/DATABASE"
# A server that vanishes from the network is noticed in half a minute, not in two hours.
_POSTGRESQL_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
    "application_name": "lutier",
}


class Database:
    """A database of Lutier's, its schema brought up to date.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE``.
        reconnect_seconds: how long a server may be away between two transactions.
        read_only: let nothing be written. The database itself refuses it, no file is made, no
            schema is changed.

    Raises:
        InputError: not a URL, or not of a database that Lutier keeps measurements in.
        MissingExtraError: the driver is not installed.
        MissingTableError: there is no database to read.
        StoreError: not a Lutier store, a newer schema, or it cannot be opened. It is left
            untouched.
    """

    def __init__(
        self,
        url: str,
        *,
        reconnect_seconds: float = RECONNECT_SECONDS,
        read_only: bool = False,
    ) -> None:
        self.url = parse_url(url)
        self.shown = self.url.render_as_string(hide_password=True)
        self.is_server = self.url.get_backend_name() == "postgresql"
        self._reconnect_seconds = 0.0
        if not self.is_server:
            if read_only:
                require_file(self.url)
            inspect_file(self.url)
        with _usable(self.url, self.shown):
            self._engine = _engine(self.url, read_only=read_only)
        try:
            with self.reading() as connection:
                current = is_current(connection, self.shown)
                if read_only and not current:
                    raise not_current(connection, self.shown)
            if not current:
                with self.writing() as connection:
                    self.lock(connection)
                    # Another process may have been quicker.
                    if not is_current(connection, self.shown):
                        migrate(connection)
        except (StoreError, MissingTableError):
            self.close()
            raise
        self._reconnect_seconds = reconnect_seconds

    @property
    def is_private(self) -> bool:
        """Whether no other process can see it: a database in memory."""
        return not self.is_server and self.url.database in (None, "", ":memory:")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at its end.

        Raises:
            StoreError: what the database refuses. Nothing of the transaction is kept then.
        """
        with held_back(), self._errors(), self._connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that only reads: it waits for no writer, and no writer for it."""
        with held_back(), self._errors(), self._connect() as plain:
            connection = plain.execution_options(**{_READ_ONLY: True})
            with connection.begin():
                yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _store_error(self.shown, error, is_server=self.is_server) from error
        except SQLAlchemyError as error:
            raise StoreError(f"cannot use the database {self.shown}", _one_line(error)) from error

    def _connect(self) -> Connection:
        """A live connection; waits a while for a server that was there before.

        Nothing has been sent yet, so trying again can neither lose nor double anything.
        """
        deadline = time.monotonic() + self._reconnect_seconds
        while True:
            try:
                return self._engine.connect()
            except DBAPIError as error:
                if not self.is_server or time.monotonic() >= deadline:
                    raise
                _log.warning("waiting for the database %s: %s", self.shown, _one_line(error.orig))
                time.sleep(_RETRY_INTERVAL_S)

    def lock(self, connection: Connection) -> None:
        """Let no other process migrate or claim until the transaction ends.

        On SQLite a writing transaction has the whole file to itself already.
        """
        if self.is_server:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))

    def now(self, connection: Connection) -> datetime:
        """The time in UTC, without a zone: the server's, so that no other clock matters."""
        if not self.is_server:
            return utc_now()
        moment = connection.scalar(sa.select(sa.func.clock_timestamp()))
        if not isinstance(moment, datetime):
            raise StoreError(f"the database {self.shown} does not tell the time", repr(moment))
        return moment.astimezone(UTC).replace(tzinfo=None)

    def insert_missing(
        self, connection: Connection, table: Any, rows: list[dict[str, Any]]
    ) -> None:
        """Insert those rows that break no constraint of uniqueness."""
        if rows:
            insert: Any = postgresql.insert if self.is_server else sqlite.insert
            connection.execute(insert(table).on_conflict_do_nothing(), rows)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def utc_now() -> datetime:
    """The time in UTC by this machine's clock, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def parse_url(url: str) -> URL:
    """Read the URL of a database.

    Raises:
        InputError: it is none, or of a database that Lutier does not keep measurements in.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise InputError(f"{_hide_password(url)!r} is not a database URL", hint=_EXAMPLE) from error
    if parsed.drivername in ("postgresql", "postgres"):
        # SQLAlchemy 2.0 and 2.1 would take different drivers.
        return parsed.set(drivername=_POSTGRESQL)
    if backend not in ("sqlite", "postgresql"):
        raise InputError(
            f"no such kind of database: {parsed.drivername}",
            "measurements are kept in SQLite or PostgreSQL",
            _EXAMPLE,
        )
    return parsed


def _hide_password(url: str) -> str:
    return re.sub(r"(//[^/@:]*):.*@", r"\1:***@", url)


@contextmanager
def _usable(url: URL, shown: str) -> Iterator[None]:
    """What SQLAlchemy says of a URL that it has no use for, in one line."""
    try:
        yield
    except NoSuchModuleError as error:
        raise InputError(
            f"no such kind of database: {url.drivername}", str(error), _EXAMPLE
        ) from error
    except ImportError as error:
        raise MissingExtraError(
            f"the driver of {url.drivername} is not installed",
            _one_line(error),
            "pip install 'lutier[postgres]'",
        ) from error
    except (ArgumentError, ValueError) as error:
        raise InputError(
            f"{shown} is not a usable database URL", _one_line(error), _EXAMPLE
        ) from error


def _engine(url: URL, *, read_only: bool) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        engine = _postgresql_engine(url)
        return postgresql_reader(engine) if read_only else engine
    if read_only:
        return sqlite_reader(url)
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql_engine(url: URL) -> sa.Engine:
    if url.drivername != _POSTGRESQL:
        raise InputError(
            f"the driver {url.get_driver_name()} is not one Lutier is tested with",
            "it speaks to PostgreSQL through psycopg",
            f"{_POSTGRESQL}://USER@HOST/DATABASE",
        )
    defaults = {key: value for key, value in _POSTGRESQL_DEFAULTS.items() if key not in url.query}
    # The ping finds a connection that was dropped while it was idle, and opens another.
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=2, connect_args=defaults)
    sa.event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_postgresql(connection: Any, _: object) -> None:
    # A machine that loses its power half way through a transaction keeps its locks no longer than
    # this; the server itself would notice in two hours.
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_TIMEOUT_MS}")
    connection.commit()


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver's own transaction handling would commit before every CREATE TABLE: a process
    # killed in between would leave half a schema. SQLAlchemy's documented recipe.
    connection.isolation_level = None
    _keep_log(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _keep_log(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log.

    Where two processes open a new file at once, the one that comes second is refused at once,
    whatever its timeout: to wait with a lock on the file in hand could be a deadlock.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_INTERVAL_S / 10)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # Taking the write lock at once lets a second process wait instead of failing half way. What
    # only reads takes none: in a write-ahead log it sees the last commit whoever is writing.
    is_reading = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def _one_line(error: object) -> str:
    lines = [line.strip() for line in str(error).partition("\n[SQL:")[0].splitlines()]
    return " ".join(line for line in lines if line)[:300]


def _store_error(shown: str, error: DBAPIError, *, is_server: bool) -> StoreError:
    reason = _one_line(error.orig or error)
    if isinstance(error, IntegrityError):
        return StoreError(
            f"the database {shown} refused a row",
            reason,
            "keep other programs from writing to its tables",
        )
    lowered = reason.lower()
    kept = "what was stored is safe"
    if "full" in lowered or "no space left" in lowered:
        return StoreError(
            f"the database {shown} has no room left",
            f"{reason}; {kept}",
            "free some space, then the same command: it goes on from there",
        )
    if "database is locked" in lowered:
        hint = "end the other process that has it open, or let it go on"
    elif "password" in lowered:
        hint = "the password in PGPASSWORD or in ~/.pgpass"
    elif "does not exist" in lowered and "database" in lowered:
        hint = "createdb, or another name in the URL"
    elif is_server and (error.connection_invalidated or "connection" in lowered):
        reason += f"; {kept}"
        hint = "the same command once the server is back: it goes on from there"
    else:
        hint = ""
    return StoreError(f"cannot use the database {shown}", reason, hint)
