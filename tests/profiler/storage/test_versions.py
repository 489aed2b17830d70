"""The schema: what is not ours is left alone, what is older is brought up to date."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from torch import nn

import profiler.storage
from devices.environment import Environment
from devices.errors import LutierError, StoreError
from devices.target import Target
from profiler.claims import Claims
from profiler.events import ignore
from profiler.jobs import Job
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.versions import SCHEMA_VERSIONS
from profiler.visit import Visit

if TYPE_CHECKING:
    from postgres_server import Server

MIGRATIONS = Path(profiler.storage.__file__).parent / "migrations"
TARGET = Target.make("cpu", "onnxruntime", {})
HERE = Environment.of({"chip": "A", "cores": "2"})


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lutier.db"


def begin(store: MeasurementStore) -> int:
    return store.begin("op", "op", TARGET, HERE, Protocol(), None)


def samples_ms(store: MeasurementStore, measurement_id: int) -> list[list[float]]:
    """The timed runs of each stored visit."""
    return [list(visit.samples_ms) for visit in store.visits(measurement_id)]


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def change(path: Path, *statements: str) -> None:
    """Run statements on a database file and leave it whole in one file."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def set_version(path: Path, version: str, mode: str = "WAL") -> None:
    """Give a store another schema version."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.close()


def refused(path: Path) -> str:
    """The message with which a file is refused, its bytes and neighbours being as before."""
    before, neighbours = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(StoreError) as caught:
        MeasurementStore(url_of(path))
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == neighbours
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_the_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "lutier.db"
    MeasurementStore(url_of(path)).close()
    assert query(path, "SELECT version_num FROM alembic_version") == [(SCHEMA_VERSIONS[-1],)]
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    MeasurementStore(url_of(path)).close()
    assert query(path, "SELECT count(*) FROM measurements") == [(0,)]


def test_an_empty_database_becomes_a_store(path: Path) -> None:
    change(path, "PRAGMA journal_mode=WAL", "CREATE TABLE x(y)", "DROP TABLE x")
    assert path.stat().st_size > 0
    MeasurementStore(url_of(path)).close()
    assert query(path, "SELECT count(*) FROM measurements") == [(0,)]


def test_it_is_written_ahead(path: Path) -> None:
    MeasurementStore(url_of(path)).close()
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize(
    "contents",
    [
        b"x",
        b"\x00",
        b"hello\n",
        b"SQLite format 3",
        b"SQLite format 3\x00",
        b"SQLite format 3\x00" + bytes(5000),
        b"kind,ms\nconv,1.0\n" * 400,
    ],
    ids=lambda contents: f"{contents[:16]!r} {len(contents)}",
)
def test_a_file_that_is_not_a_database_is_left_untouched(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    assert "is not a Lutier database" in refused(path)


@pytest.mark.parametrize("kept", [100, 4096, 0.5, 0.9])
def test_a_truncated_store_is_left_untouched(path: Path, kept: float) -> None:
    MeasurementStore(url_of(path)).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    assert "is not a Lutier database" in refused(path)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    "tables",
    [
        ["customers"],
        ["measurements"],
        ["alembic_version(version_num)", "customers"],
        ["alembic_version(version_num)", "measurements"],
    ],
    ids=" ".join,
)
def test_a_foreign_database_is_left_untouched(path: Path, mode: str, tables: list[str]) -> None:
    names = [table if "(" in table else f"{table}(name)" for table in tables]
    change(path, f"PRAGMA journal_mode={mode}", *(f"CREATE TABLE {name}" for name in names))
    message = refused(path)
    assert "a database, but not one of Lutier's" in message
    assert tables[-1].partition("(")[0] in message


def test_a_foreign_database_in_use_is_left_untouched(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE customers(name)")
    # Its table is in the write-ahead log only.
    assert "not one of Lutier's" in refused(path)
    assert connection.execute("SELECT * FROM customers").fetchall() == []
    connection.close()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    ("version", "hint"),
    [("9999", "Try: a newer version of lutier"), ("1975ea83b712", "Try: --db"), ("0000", "--db")],
)
def test_an_unknown_schema_is_left_untouched(
    path: Path, mode: str, version: str, hint: str
) -> None:
    MeasurementStore(url_of(path)).close()
    set_version(path, version, mode)
    message = refused(path)
    assert (
        f"has schema '{version}': this version of Lutier knows up to {SCHEMA_VERSIONS[-1]}"
        in message
    )
    assert hint in message


def test_a_schema_that_becomes_newer_behind_our_back_is_refused(path: Path) -> None:
    with MeasurementStore(url_of(path)) as store:
        begin(store)
        set_version(path, "9999")
        # In the write-ahead log, not yet in the file.
        with pytest.raises(StoreError, match="has schema '9999'"):
            MeasurementStore(url_of(path))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder, not a database"):
        MeasurementStore(url_of(tmp_path))


def test_a_file_in_the_way_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(StoreError, match="cannot use a database at"):
        MeasurementStore(url_of(tmp_path / "file" / "lutier.db"))
    assert (tmp_path / "file").read_text() == "hello"


def test_a_store_that_is_damaged_while_open_is_a_store_error(path: Path) -> None:
    with MeasurementStore(url_of(path)) as store:
        begin(store)
        change(path, "DROP TABLE visits")
        with pytest.raises(StoreError, match="no such table: visits"):
            store.visits(1)
        with pytest.raises(StoreError, match="no such table: visits"):
            store.add_visit(1, 0, Visit((1.0,)))


def crash(path: Path, crashed: Path) -> None:
    """Copy a store as a process leaves it that is killed while a rollback journal is open."""
    change(path, "PRAGMA journal_mode=DELETE")
    connection = sqlite3.connect(path, isolation_level=None)
    # A small cache: pages reach the file, and their old contents the journal, before the commit.
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN")
    insert = "INSERT INTO visits (measurement_id, number, samples_ms, measured_at)"
    for i in range(200):
        row = (1, i + 1, "[1.0" + ", 1.0" * 50 + "]", "")
        connection.execute(f"{insert} VALUES (?, ?, ?, ?)", row)
    for suffix in ("", "-journal"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    connection.execute("ROLLBACK")
    connection.close()


def test_an_interrupted_write_is_undone_when_a_store_is_opened(tmp_path: Path, path: Path) -> None:
    crashed = tmp_path / "crashed.db"
    with MeasurementStore(url_of(path)) as store:
        store.add_visit(begin(store), 0, Visit((1.0,)))
    crash(path, crashed)
    assert Path(f"{crashed}-journal").stat().st_size > 0
    with MeasurementStore(url_of(crashed)) as store:
        assert samples_ms(store, 1) == [[1.0]]
    assert query(crashed, "PRAGMA integrity_check") == [("ok",)]


DYING = """
import itertools, os, signal, sys
import sqlalchemy as sa
from profiler.storage.database import MeasurementStore

def die_at(statement):
    numbers = itertools.count()
    def listen(*_):
        if next(numbers) == statement:
            os.kill(os.getpid(), signal.SIGKILL)
    sa.event.listen(sa.Engine, "before_cursor_execute", listen)

for statement in itertools.count():
    url = f"sqlite:///{sys.argv[1]}/{statement}.db"
    child = os.fork()
    if child == 0:
        try:
            die_at(statement)
            MeasurementStore(url)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    MeasurementStore(url).close()
    if status == 0:
        break
print(statement)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork: run it on Linux or macOS")
def test_a_process_killed_at_any_statement_of_the_schema_leaves_none_of_it(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", DYING, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    statements = int(run.stdout)
    assert statements > 5
    for i in range(statements + 1):
        tables = {name for (name,) in query(tmp_path / f"{i}.db", "SELECT name FROM sqlite_master")}
        assert {"alembic_version", "environments", "protocols", "measurements", "visits"} <= tables
        assert query(tmp_path / f"{i}.db", "PRAGMA integrity_check") == [("ok",)]


def test_every_error_is_one_of_lutiers(path: Path) -> None:
    assert issubclass(StoreError, LutierError)
    store = MeasurementStore(url_of(path))
    store.close()
    path.write_bytes(b"overwritten by something else" * 1000)
    with pytest.raises(StoreError):
        store.targets()


# Any database


def migrate_to(url: str, version: str) -> None:
    """Make a store as an older version of Lutier did."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def tables(url: str) -> set[str]:
    engine = sa.create_engine(url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


@pytest.mark.parametrize("version", SCHEMA_VERSIONS[:-1])
def test_an_older_store_is_brought_up_to_date_and_keeps_its_rows(
    store_url: str, version: str
) -> None:
    migrate_to(store_url, version)
    execute(
        store_url,
        "INSERT INTO environments VALUES"  # noqa: S608
        f' (\'{HERE.id}\', \'{{"chip"\\: "A", "cores"\\: "2"}}\', \'2026-01-01\')',
        "INSERT INTO protocols VALUES ('p', '{}')",
        "INSERT INTO measurements"  # noqa: S608
        " (id, target, environment_id, protocol_id, key, role, status, started_at, median_ms)"
        f" VALUES (7, '{TARGET}', '{HERE.id}', 'p', 'op', 'op', 'done', '2026-01-01', 1.5)",
        "INSERT INTO visits VALUES (7, 0, '[1.5]', '2026-01-01')",
    )
    with MeasurementStore(store_url) as store:
        (row,) = store.measurements(TARGET, HERE.id)
        assert (row["id"], row["key"], row["median_ms"]) == (7, "op", 1.5)
        added = ("exponent", "nominal_ms", "findings", "ops")
        assert [row[name] for name in added] == [None] * len(added)
        assert store.visits(7) == [Visit((1.5,))]
        assert store.all_samples_ms(TARGET, HERE.id) == {"op": [1.5]}
    assert {"workers", "claims"} <= tables(store_url)


@pytest.mark.parametrize("version", SCHEMA_VERSIONS[:-1])
def test_what_is_new_can_be_kept_in_an_older_store(store_url: str, version: str) -> None:
    migrate_to(store_url, version)
    summary = replace(
        summarise([[1.0], [1.0]]), exponent=0.5, nominal_ms=0.25, findings=("few", "noisy")
    )
    with MeasurementStore(store_url) as store:
        measurement_id = store.begin("net", "carrier", TARGET, HERE, Protocol(), None, ("a", "b"))
        store.add_visit(measurement_id, 0, Visit((1.0,), (0.25, 0.26)))
        store.finish(measurement_id, summary)
        assert store.visits(measurement_id) == [Visit((1.0,), (0.25, 0.26))]
        (row,) = store.measurements(TARGET, HERE.id)
    assert (row["exponent"], row["nominal_ms"], row["ops"]) == (0.5, 0.25, "a b")
    assert row["findings"] == "few noisy"


def test_a_server_database_of_others_is_left_untouched(postgres: Server) -> None:
    url = postgres.new_database()
    execute(url, "CREATE TABLE customers(name text)")
    with pytest.raises(StoreError, match="not one of Lutier's: it holds customers") as caught:
        MeasurementStore(url)
    assert "Try: --db with a database of its own" in str(caught.value)
    assert tables(url) == {"customers"}


def test_a_server_database_with_migrations_of_others_is_left_untouched(postgres: Server) -> None:
    url = postgres.new_database()
    execute(
        url,
        "CREATE TABLE alembic_version(version_num varchar(32))",
        "INSERT INTO alembic_version VALUES ('0001')",
        "CREATE TABLE customers(name text)",
    )
    with pytest.raises(StoreError, match="not one of Lutier's"):
        MeasurementStore(url)
    assert tables(url) == {"alembic_version", "customers"}


def test_a_newer_schema_on_a_server_is_left_untouched(postgres: Server) -> None:
    url = postgres.new_database()
    MeasurementStore(url).close()
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"has schema '9999'.*a newer version of lutier"):
        MeasurementStore(url)
    execute(url, f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSIONS[-1]}'")  # noqa: S608
    MeasurementStore(url).close()


def test_a_schema_of_its_own_is_enough(postgres: Server) -> None:
    url = postgres.new_database()
    execute(url, "CREATE TABLE customers(name text)", "CREATE SCHEMA lutier")
    own = f"{url}?options=-csearch_path%3Dlutier"
    with MeasurementStore(own) as store:
        begin(store)
    assert tables(url) == {"customers"}
    assert {"measurements", "claims"} <= tables(own)


def test_one_who_may_only_read_can_read(postgres: Server) -> None:
    url = postgres.new_database()
    with MeasurementStore(url) as store:
        measurement_id = begin(store)
        store.add_visit(measurement_id, 0, Visit((1.0,)))
    execute(
        url,
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    )
    with MeasurementStore(url.replace("postgres@", "reader@")) as store:
        assert samples_ms(store, measurement_id) == [[1.0]]
        with pytest.raises(StoreError, match="permission denied") as caught:
            store.add_visit(measurement_id, 1, Visit((1.0,)))
    assert len(str(caught.value).splitlines()) == 1
    execute(url, "DROP OWNED BY reader", "DROP ROLE reader")


def test_what_the_documentation_grants_is_enough_to_profile(postgres: Server) -> None:
    url = postgres.new_database()
    MeasurementStore(url).close()
    execute(
        url,
        "DROP ROLE IF EXISTS profilers",
        "CREATE ROLE profilers LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO profilers",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO profilers",
    )
    with MeasurementStore(url.replace("postgres@", "profilers@")) as store:
        with Claims(store, TARGET, HERE, Protocol()) as claims:
            job = Job("op", "op", lambda: nn.Linear(2, 2), (2,))
            assert claims.take([job], 1, ignore) == [job]
            claims.add_visit("op", 0, Visit((1.0,)))
            assert claims.finish({"op": summarise([[1.0], [1.0]])}) == {"op"}
        assert store.targets() == {str(TARGET): 1}
    execute(url, "DROP OWNED BY profilers", "DROP ROLE profilers")
