"""Opening a store that is only to be read: the database itself refuses whatever would write."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from devices.errors import MissingTableError, StoreError

STATEMENT_SECONDS = 30
"""How long one statement may take on a server."""
_BUSY_TIMEOUT_S = 30
_HINT = "lutier profile --space SPACE, or --db URL of another database"


def require_file(url: URL) -> None:
    """Raise :class:`MissingTableError` where a URL of SQLite leads to no file."""
    if not url.database or url.database == ":memory:":
        raise MissingTableError("a database in memory has nothing to read", hint=_HINT)
    if not Path(url.database).exists():
        raise MissingTableError(f"no database at {url.database[:200]}", hint=_HINT)


def not_current(connection: Connection, shown: str) -> StoreError | MissingTableError:
    """What to raise of a database that would have to be changed before it can be read."""
    if not sa.inspect(connection).get_table_names():
        return MissingTableError(f"nothing was measured into {shown} yet", hint=_HINT)
    return StoreError(
        f"{shown} has the schema of an older version of Lutier",
        "it is brought up to date by whoever writes, and here it is only read",
        f"lutier table show --db {shown}",
    )


def sqlite_reader(url: URL) -> sa.Engine:
    """An engine of a SQLite file; every transaction has a connection of its own."""
    path = Path(url.database or "").absolute()

    def connect() -> sqlite3.Connection:
        try:
            return _connected(f"{path.as_uri()}?mode=ro")
        except sqlite3.OperationalError:
            # Where no lock file can be made beside it, nobody of these rights writes either.
            if Path(f"{path}-wal").exists():
                raise
            return _connected(f"{path.as_uri()}?immutable=1")

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _connected(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def postgresql_reader(engine: sa.Engine) -> sa.Engine:
    """The same engine, in transactions that only read, and that end in time."""
    reader = engine.execution_options(postgresql_readonly=True)

    def limit(connection: Connection) -> None:
        milliseconds = 1000 * STATEMENT_SECONDS
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")

    sa.event.listen(reader, "begin", limit)
    return reader
