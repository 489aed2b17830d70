"""A PostgreSQL server of the tests' own: Debian's binaries, started by pytest-postgresql."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import port_for
import psycopg
from psycopg import sql
from pytest_postgresql.executors import PostgreSQLExecutor

HOST = "127.0.0.1"
PASSWORD_USER, PASSWORD = "careful", "correct horse"
"""A user whom the server asks for a password, unlike all others, and that password."""
STARTING_S = 60.0
MISSING = "needs a PostgreSQL server: apt-get install postgresql"


def find_pg_ctl() -> Path | None:
    """The program that starts a server, of the newest version there is."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3])
    )
    if found:
        return found[-1]
    anywhere = shutil.which("pg_ctl")
    return Path(anywhere) if anywhere else None


class Server:
    """A running server, empty at first.

    Args:
        pg_ctl: the program that starts it.
    """

    def __init__(self, pg_ctl: Path) -> None:
        # pytest's own folders are closed to other users.
        self._folder = Path(tempfile.mkdtemp(prefix="lutier-postgres-"))
        executable = pg_ctl
        if os.geteuid() == 0:
            executable = self._as_postgres(pg_ctl)
        self._executor = PostgreSQLExecutor(
            executable=str(executable),
            host=HOST,
            port=port_for.select_random(),
            datadir=str(self._folder / "data"),
            unixsocketdir=str(self._folder),
            logfile=str(self._folder / "log"),
            startparams="-w",
            dbname="tests",
        )
        self._numbers = itertools.count()
        self._executor.init_directory()
        rules = self._folder / "data" / "pg_hba.conf"
        picky = f"host all {PASSWORD_USER} {HOST}/32 scram-sha-256\n"
        rules.write_text(picky + rules.read_text())
        self.start()
        self.execute(
            sql.SQL("CREATE USER {} PASSWORD {}").format(
                sql.Identifier(PASSWORD_USER), sql.Literal(PASSWORD)
            )
        )

    def _as_postgres(self, pg_ctl: Path) -> Path:
        """A program that does the same as the user ``postgres``: no server runs as root."""
        shutil.chown(self._folder, "postgres")
        self._folder.chmod(0o755)
        wrapper = self._folder / "pg_ctl"
        wrapper.write_text(f'#!/bin/sh\ncd /\nexec runuser -u postgres -- "{pg_ctl}" "$@"\n')
        wrapper.chmod(0o755)
        return wrapper

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._executor.port)

    def url(self, database: str, user: str = "postgres") -> str:
        """URL of a database."""
        return f"postgresql+psycopg://{user}@{HOST}:{self.port}/{database}"

    def execute(self, statement: sql.Composable, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(
            host=HOST, port=self.port, user="postgres", dbname=database, autocommit=True
        ) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """Make an empty database; its URL."""
        name = f"lutier{next(self._numbers)}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def hang_up(self) -> None:
        """Drop all connections, and wait until they are."""
        self.execute(
            sql.SQL(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname IS NOT NULL AND pid <> pg_backend_pid()"
            )
        )

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stop(self) -> None:
        """Stop it at once, whoever is connected."""
        self._executor.stop()

    def start(self) -> None:
        """Start it, and wait until it lets one in: it listens before that."""
        self._executor.start()
        deadline = time.monotonic() + STARTING_S
        while True:
            try:
                self.execute(sql.SQL("SELECT 1"))
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Stop it and remove all it has stored."""
        self._executor.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
