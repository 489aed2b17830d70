"""The schema of a database: whether it is ours, how old it is, and how it is brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from devices.errors import StoreError

SCHEMA_VERSIONS = ("0001", "0002", "0003")
"""Every schema a store ever had, one a migration, the current one last."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_S = 30
_SQLITE_MAGIC = b"SQLite format 3\0"
_VERSION_TABLE = "alembic_version"


def inspect_file(url: URL) -> None:
    """Refuse a SQLite file that is not ours, before anything could be written to it.

    Raises:
        StoreError: it is something else, or cannot be read; it is left untouched.
    """
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
        tables, version = _read_file(path)
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} is not a Lutier database",
            f"{error}; it was left untouched",
            "--db with another file",
        ) from error
    _check(tables, version, str(path), "--db with another file")


def _read_file(path: Path) -> tuple[set[str], str | None]:
    """Names of a SQLite file's tables, and the version of its schema."""
    # Where no write-ahead log lies beside it the file is read as it is: that makes no lock file
    # beside a file which may not be ours, and leaves an interrupted write for its owner to undo.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {str(name) for (name,) in rows}
        if _VERSION_TABLE not in tables:
            return tables, None
        row = connection.execute(f"SELECT version_num FROM {_VERSION_TABLE}").fetchone()  # noqa: S608
        return tables, None if row is None else str(row[0])
    finally:
        connection.close()


def is_current(connection: Connection, name: str) -> bool:
    """Whether the schema needs no migration.

    Args:
        connection: within a transaction; it is only read.
        name: of the database, for messages.

    Raises:
        StoreError: the database is not ours, or its schema is newer than this version of Lutier.
    """
    tables = set(sa.inspect(connection).get_table_names())
    version = None
    if _VERSION_TABLE in tables:
        version = connection.scalar(sa.text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    _check(tables, version, name, "--db with a database of its own")
    return version == SCHEMA_VERSIONS[-1]


def _check(tables: Collection[str], version: str | None, name: str, hint: str) -> None:
    if tables and (version is None or "measurements" not in tables):
        raise StoreError(
            f"{name} is a database, but not one of Lutier's",
            f"it holds {', '.join(sorted(tables)[:3])}; it was left untouched",
            hint,
        )
    if version is None or version in SCHEMA_VERSIONS:
        return
    is_newer = version.isdigit() and version > SCHEMA_VERSIONS[-1]
    raise StoreError(
        f"{name} has schema {version[:40]!r}",
        f"this version of Lutier knows up to {SCHEMA_VERSIONS[-1]}; it was left untouched",
        "a newer version of lutier" if is_newer else hint,
    )


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, within the transaction of the caller."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
