"""The store: what was returned from is kept, and a file that is not ours is left alone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.environment import Environment
from devices.errors import InputError, LutierError, MissingExtraError, StoreError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import Summary, summarise
from profiler.storage.database import MeasurementStore

TARGET = Target.make("cpu", "onnxruntime", {})
HERE = Environment.of({"chip": "A", "cores": "2"})
PROTOCOL = Protocol()


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lutier.db"


@pytest.fixture
def store(path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(url_of(path)) as store:
        yield store


def begin(
    store: MeasurementStore,
    key: str = "op",
    *,
    target: Target = TARGET,
    environment: Environment = HERE,
    protocol: Protocol = PROTOCOL,
    sha256: str | None = None,
) -> int:
    return store.begin(key, "op", target, environment, protocol, sha256)


def done(store: MeasurementStore, key: str, value_ms: float = 1.0, target: Target = TARGET) -> None:
    measurement_id = begin(store, key, target=target)
    store.finish(measurement_id, summarise([[value_ms], [value_ms]]))


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


# Measurements


def test_visits_come_back_in_order(store: MeasurementStore) -> None:
    measurement_id = begin(store)
    assert store.visits_ms(measurement_id) == []
    for number, samples in enumerate([[1.5, 0.1], [2.0], [1 / 3, 1e-9]]):
        store.add_visit(measurement_id, number, samples)
    assert store.visits_ms(measurement_id) == [[1.5, 0.1], [2.0], [1 / 3, 1e-9]]


def test_what_was_begun_is_found_again(store: MeasurementStore) -> None:
    assert begin(store) == begin(store)
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op": "measuring"}


def test_anything_that_changes_a_latency_makes_another_measurement(store: MeasurementStore) -> None:
    ids = {
        begin(store),
        begin(store, "other op"),
        begin(store, target=Target.make("cpu", "onnxruntime", {"threads": 2})),
        begin(store, environment=Environment.of({"chip": "B"})),
        begin(store, protocol=Protocol(timed_runs=9)),
    }
    assert len(ids) == 5


def test_a_finished_measurement_has_every_figure(store: MeasurementStore) -> None:
    summary = Summary(2.0, 1.5, 2.5, 0.1, 0.01, visits=12, runs=60)
    store.finish(begin(store, sha256="ab" * 32), summary)
    (row,) = store.measurements(TARGET, HERE.id)
    assert {name: row[name] for name in summary.__dict__} == summary.__dict__
    assert (row["key"], row["role"], row["status"]) == ("op", "op", "done")
    assert (row["target"], row["environment_id"]) == (str(TARGET), HERE.id)
    assert (row["protocol_id"], row["artifact_sha256"]) == (PROTOCOL.id, "ab" * 32)
    assert row["failure"] is None
    assert row["started_at"] <= row["finished_at"]


def test_only_finished_measurements_are_in_the_table(store: MeasurementStore) -> None:
    done(store, "finished")
    store.add_visit(begin(store, "half way"), 0, [1.0])
    store.fail(begin(store, "failed"), "too large")
    assert [row["key"] for row in store.measurements(TARGET, HERE.id)] == ["finished"]
    assert store.targets() == {str(TARGET): 1}


def test_a_failure_is_a_row_with_its_reason(store: MeasurementStore) -> None:
    store.fail(begin(store), "the runtime has no such operator")
    assert store.failures(TARGET, HERE.id) == {"op": "the runtime has no such operator"}
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op": "failed"}


def test_the_text_of_a_failure_is_cut(store: MeasurementStore) -> None:
    store.fail(begin(store), "x" * 10_000)
    (reason,) = store.failures(TARGET, HERE.id).values()
    assert reason == "x" * 2000


def test_a_failed_measurement_is_opened_again(store: MeasurementStore) -> None:
    measurement_id = begin(store, sha256="0" * 64)
    store.fail(measurement_id, "too large")
    assert begin(store, sha256="1" * 64) == measurement_id
    assert store.statuses(TARGET, HERE, PROTOCOL) == {"op": "measuring"}
    assert store.failures(TARGET, HERE.id) == {}
    store.finish(measurement_id, summarise([[1.0], [1.0]]))
    (row,) = store.measurements(TARGET, HERE.id)
    assert row["artifact_sha256"] == "1" * 64


def test_all_samples_are_those_of_finished_measurements_in_order(store: MeasurementStore) -> None:
    for key, finished in (("b", True), ("a", True), ("half way", False)):
        measurement_id = begin(store, key)
        store.add_visit(measurement_id, 1, [3.0])
        store.add_visit(measurement_id, 0, [1.0, 2.0])
        if finished:
            store.finish(measurement_id, summarise([[1.0, 2.0], [3.0]]))
    assert store.all_samples_ms(TARGET, HERE.id) == {
        "b": [1.0, 2.0, 3.0],
        "a": [1.0, 2.0, 3.0],
    }


def test_the_environment_measured_last_comes_last(store: MeasurementStore) -> None:
    one, other = Environment.of({"chip": "A"}), Environment.of({"chip": "B"})
    measurement_id = begin(store, environment=one)
    store.finish(begin(store, environment=other), summarise([[1.0]]))
    begin(store, environment=HERE)
    assert store.environments(TARGET) == [other]
    store.finish(measurement_id, summarise([[1.0]]))
    assert store.environments(TARGET) == [other, one]
    assert store.environments(Target.make("cpu", "torch", {})) == []


def test_targets_are_counted(store: MeasurementStore) -> None:
    two = Target.make("cpu", "onnxruntime", {"threads": 2})
    done(store, "a")
    done(store, "b")
    done(store, "a", target=two)
    assert store.targets() == {str(TARGET): 2, str(two): 1}


@given(
    st.text(max_size=30),
    st.lists(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=3), max_size=4),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_any_key_samples_and_facts_come_back_as_they_were(
    key: str, visits: list[list[float]], facts: dict[str, str]
) -> None:
    environment = Environment.of(facts)
    key = key.encode(errors="replace").decode()
    with MeasurementStore("sqlite://") as store:
        measurement_id = begin(store, key, environment=environment)
        for number, samples in enumerate(visits):
            store.add_visit(measurement_id, number, samples)
        store.finish(measurement_id, summarise([[1.0]]))
        assert store.visits_ms(measurement_id) == visits
        assert store.statuses(TARGET, environment, PROTOCOL) == {key: "done"}
        assert store.environments(TARGET) == [environment]


def test_a_visit_that_is_there_is_not_overwritten(store: MeasurementStore) -> None:
    measurement_id = begin(store)
    store.add_visit(measurement_id, 0, [1.0])
    with pytest.raises(StoreError, match="refused a row"):
        store.add_visit(measurement_id, 0, [2.0])
    assert store.visits_ms(measurement_id) == [[1.0]]


def test_a_visit_of_nothing_is_refused(store: MeasurementStore) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.add_visit(99, 0, [1.0])


# The file


def test_the_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "lutier.db"
    MeasurementStore(url_of(path)).close()
    assert query(path, "SELECT version_num FROM alembic_version") == [("0001",)]
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


def test_it_is_written_ahead(store: MeasurementStore, path: Path) -> None:
    begin(store)
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


def test_what_was_stored_is_there_when_opened_again(path: Path) -> None:
    with MeasurementStore(url_of(path)) as store:
        done(store, "a", 1.25)
    with MeasurementStore(url_of(path)) as store:
        assert [row["median_ms"] for row in store.measurements(TARGET, HERE.id)] == [1.25]


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
    [("0002", "Try: a newer version of lutier"), ("1975ea83b712", "Try: --db"), ("0000", "--db")],
)
def test_an_unknown_schema_is_left_untouched(
    path: Path, mode: str, version: str, hint: str
) -> None:
    MeasurementStore(url_of(path)).close()
    set_version(path, version, mode)
    message = refused(path)
    assert f"has schema '{version}': this version of Lutier knows up to 0001" in message
    assert hint in message


def test_a_schema_that_becomes_newer_behind_our_back_is_refused(path: Path) -> None:
    with MeasurementStore(url_of(path)) as store:
        begin(store)
        set_version(path, "0002")
        # In the write-ahead log, not yet in the file.
        with pytest.raises(StoreError, match="has schema '0002'"):
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
            store.visits_ms(1)
        with pytest.raises(StoreError, match="no such table: visits"):
            store.add_visit(1, 0, [1.0])


def crash(path: Path, crashed: Path) -> None:
    """Copy a store as a process leaves it that is killed while a rollback journal is open."""
    change(path, "PRAGMA journal_mode=DELETE")
    connection = sqlite3.connect(path, isolation_level=None)
    # A small cache: pages reach the file, and their old contents the journal, before the commit.
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN")
    for i in range(200):
        row = (1, i + 1, "[1.0" + ", 1.0" * 50 + "]", "")
        connection.execute("INSERT INTO visits VALUES (?, ?, ?, ?)", row)
    for suffix in ("", "-journal"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    connection.execute("ROLLBACK")
    connection.close()


def test_an_interrupted_write_is_undone_when_a_store_is_opened(tmp_path: Path, path: Path) -> None:
    crashed = tmp_path / "crashed.db"
    with MeasurementStore(url_of(path)) as store:
        store.add_visit(begin(store), 0, [1.0])
    crash(path, crashed)
    assert Path(f"{crashed}-journal").stat().st_size > 0
    with MeasurementStore(url_of(crashed)) as store:
        assert store.visits_ms(1) == [[1.0]]
    assert query(crashed, "PRAGMA integrity_check") == [("ok",)]


# URLs


@pytest.mark.parametrize(
    ("url", "fragment"),
    [
        ("", "'' is not a database URL. Try: sqlite:///lutier.db"),
        ("lutier.db", "'lutier.db' is not a database URL"),
        ("postgresql://host:port/db", "is not a database URL"),
        ("sqlyte:///lutier.db", "no such kind of database: sqlyte"),
        ("sqlite+nodriver:///x.db", "no such kind of database: sqlite+nodriver"),
        ("sqlite://host/lutier.db", "is not a usable database URL: Invalid SQLite URL"),
        ("sqlite:///lutier.db?timeout=soon", "is not a usable database URL"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(
    url: str, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        MeasurementStore(url)
    assert fragment in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_the_system_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot use a database at"):
        MeasurementStore("sqlite:////tmp/" + "x" * 5000)


def test_a_missing_driver_is_answered_with_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match="Try: pip install MySQLdb"):
        MeasurementStore("mysql://user:secret@localhost/lutier")


@given(st.text(st.characters(exclude_characters=":"), max_size=30))
def test_text_that_is_no_url_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        MeasurementStore(text)


# Several processes

WORKER = """
import json, sys
from devices.environment import Environment
from devices.errors import LutierError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for i in range(count):
    with MeasurementStore(url.format(i)) as store:
        for key in ("one", "two"):
            id = store.begin(f"{name} {key}", "op", Target.parse("cpu/onnxruntime"),
                             Environment.of({"chip": "A", "cores": "2"}), Protocol(), None)
            for number in range(10):
                store.add_visit(id, number, [1.0, 2.0])
            store.finish(id, summarise([[1.0]] * 10))
"""


@pytest.fixture
def at_once(tmp_path: Path) -> Callable[[str, int], None]:
    """Runs three processes that begin at the same moment, each over ``count`` stores."""

    def run(url: str, count: int) -> None:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, url, name, str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("first", "second", "third")
        ]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, "")

    return run


def test_processes_can_make_and_use_one_store_at_once(
    tmp_path: Path, at_once: Callable[[str, int], None]
) -> None:
    at_once(url_of(tmp_path / "{}.db"), 8)
    for i in range(8):
        path = tmp_path / f"{i}.db"
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        with MeasurementStore(url_of(path)) as store:
            assert len(store.measurements(TARGET, HERE.id)) == 6
            samples = store.all_samples_ms(TARGET, HERE.id)
        assert {json.dumps(values) for values in samples.values()} == {json.dumps([1.0, 2.0] * 10)}


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


def test_a_reader_sees_what_a_writer_has_returned_from(store: MeasurementStore, path: Path) -> None:
    measurement_id = begin(store)
    with MeasurementStore(url_of(path)) as reader:
        for number in range(3):
            store.add_visit(measurement_id, number, [float(number)])
            assert len(reader.visits_ms(measurement_id)) == number + 1


def test_every_error_is_one_of_lutiers(path: Path) -> None:
    assert issubclass(StoreError, LutierError)
    store = MeasurementStore(url_of(path))
    store.close()
    path.write_bytes(b"overwritten by something else" * 1000)
    with pytest.raises(StoreError):
        store.targets()
