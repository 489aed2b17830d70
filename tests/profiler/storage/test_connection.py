"""Connections: URLs, what is said when a database fails, and what is kept then."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from postgres_server import PASSWORD, PASSWORD_USER, Server

from devices.environment import Environment
from devices.errors import InputError, MissingExtraError, StoreError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.storage.connection import Database, utc_now
from profiler.storage.database import MeasurementStore
from profiler.storage.schema import ProtocolRow, VisitRow
from profiler.visit import Visit


def begin(store: MeasurementStore) -> int:
    target, environment = Target.make("cpu", "onnxruntime", {}), Environment.of({"chip": "A"})
    return store.begin("op", "op", target, environment, Protocol(), None)


def samples_ms(store: MeasurementStore, measurement_id: int) -> list[list[float]]:
    """The timed runs of each stored visit."""
    return [list(visit.samples_ms) for visit in store.visits(measurement_id)]


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
        ("mysql://user:secret@host/db", "no such kind of database: mysql: measurements are kept"),
        ("postgresql+psycopg2://user:secret@host/db", "through psycopg. Try: postgresql+psycopg:"),
        ("postgresql://user:secret@host:port/db", "'postgresql://user:***@host:port/db' is not"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(
    url: str, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        MeasurementStore(url)
    assert fragment in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_the_system_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot use a database at"):
        MeasurementStore("sqlite:////tmp/" + "x" * 5000)


def test_a_missing_driver_is_answered_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError) as caught:
        MeasurementStore("postgresql+psycopg://user:secret@localhost/lutier")
    assert "Try: pip install 'lutier[postgres]'" in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.text(st.characters(exclude_characters=":"), max_size=30))
def test_text_that_is_no_url_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        MeasurementStore(text)


# A server that refuses


def refused(url: str) -> str:
    """The message, on one line, with which opening fails."""
    with pytest.raises(StoreError) as caught:
        MeasurementStore(url)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_the_usual_name_of_a_server_will_do(postgres: Server) -> None:
    for scheme in ("postgresql", "postgres"):
        with MeasurementStore(postgres.new_database().replace("postgresql+psycopg", scheme)) as it:
            assert it.targets() == {}


def test_a_wrong_password_is_said_and_not_shown(postgres: Server) -> None:
    url = postgres.new_database().replace("postgres@", f"{PASSWORD_USER}:wr0ng@")
    message = refused(url)
    assert "password authentication failed" in message
    assert "Try: the password in PGPASSWORD or in ~/.pgpass" in message
    assert "wr0ng" not in message


def test_the_right_password_may_come_from_the_environment(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database().replace("postgres@", f"{PASSWORD_USER}@")
    assert "no password supplied" in refused(url)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    # Known now, but not allowed to make tables.
    assert "permission denied" in refused(url)


def test_a_database_that_does_not_exist_is_said(postgres: Server) -> None:
    message = refused(postgres.url("nosuch"))
    assert 'database "nosuch" does not exist' in message
    assert "Try: createdb" in message


def test_a_server_that_is_not_there_is_said(postgres: Server) -> None:
    url = postgres.new_database()
    with postgres.stopped():
        message = refused(url)
    assert "connection refused" in message.lower()
    assert "the same command once the server is back" in message


# A server that goes away


def test_a_dropped_connection_is_opened_again(postgres: Server) -> None:
    with MeasurementStore(postgres.new_database()) as store:
        measurement_id = begin(store)
        for number in range(3):
            postgres.hang_up()
            store.add_visit(measurement_id, number, Visit((1.0,)))
        assert samples_ms(store, measurement_id) == [[1.0]] * 3


def test_a_server_that_restarts_is_waited_for(postgres: Server) -> None:
    with MeasurementStore(postgres.new_database(), reconnect_seconds=60) as store:
        measurement_id = begin(store)
        postgres.stop()
        restart = threading.Timer(0.5, postgres.start)
        restart.start()
        try:
            store.add_visit(measurement_id, 0, Visit((1.0,)))
        finally:
            restart.join()
        assert samples_ms(store, measurement_id) == [[1.0]]


def test_a_server_that_stays_away_loses_nothing(postgres: Server) -> None:
    with MeasurementStore(postgres.new_database(), reconnect_seconds=0) as store:
        measurement_id = begin(store)
        store.add_visit(measurement_id, 0, Visit((1.0,)))
        with postgres.stopped(), pytest.raises(StoreError) as caught:
            store.add_visit(measurement_id, 1, Visit((1.0,)))
        assert len(str(caught.value).splitlines()) == 1
        assert "what was stored is safe" in str(caught.value)
        assert "Try: the same command once the server is back" in str(caught.value)
        assert samples_ms(store, measurement_id) == [[1.0]]


def test_a_server_that_hangs_up_half_way_keeps_nothing_of_it(postgres: Server) -> None:
    url = postgres.new_database()
    database = Database(url)
    with MeasurementStore(url) as store:
        measurement_id = begin(store)
        row = {"measurement_id": measurement_id, "number": 0, "samples_ms": [1.0]}

        def write_and_hang_up() -> None:
            with database.writing() as connection:
                connection.execute(sa.insert(VisitRow).values(**row, measured_at=utc_now()))
                postgres.hang_up()
                connection.execute(sa.select(1))

        with pytest.raises(StoreError, match="what was stored is safe"):
            write_and_hang_up()
        assert samples_ms(store, measurement_id) == []
    database.close()


def test_the_time_is_the_servers(postgres: Server) -> None:
    database = Database(postgres.new_database())
    with database.reading() as connection:
        text = connection.scalar(sa.text("SELECT (now() AT TIME ZONE 'UTC')::text"))
        assert isinstance(text, str)
        assert database.now(connection) >= datetime.fromisoformat(text)
        assert database.now(connection) - datetime.fromisoformat(text) < timedelta(minutes=5)
    database.close()


def test_a_client_that_falls_silent_half_way_keeps_no_locks(postgres: Server) -> None:
    database = Database(postgres.new_database())
    with database.reading() as connection:
        limit = connection.scalar(sa.text("SHOW idle_in_transaction_session_timeout"))
    assert limit == "30s"
    database.close()


# A disk that is full


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No SQLite file grows beyond 200 kB."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count=50")

    sa.event.listen(sa.Engine, "connect", limit)
    yield
    sa.event.remove(sa.Engine, "connect", limit)


def test_a_full_disk_is_said_and_keeps_what_was_stored(tmp_path: Path, small_disk: None) -> None:
    stored = 0

    def fill(store: MeasurementStore, measurement_id: int) -> None:
        nonlocal stored
        for number in range(1000):
            store.add_visit(measurement_id, number, Visit((1.25,) * 200))
            stored += 1

    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        measurement_id = begin(store)
        with pytest.raises(StoreError) as caught:
            fill(store, measurement_id)
        assert len(str(caught.value).splitlines()) == 1
        assert "has no room left: database or disk is full; what was stored is safe" in str(
            caught.value
        )
        assert "Try: free some space" in str(caught.value)
        assert stored > 0
        assert samples_ms(store, measurement_id) == [[1.25] * 200] * stored


# Readers and writers


def test_reading_waits_for_no_writer(store_url: str) -> None:
    database = Database(store_url)
    with MeasurementStore(store_url) as store:
        measurement_id = begin(store)
        store.add_visit(measurement_id, 0, Visit((1.0,)))
        with database.writing() as connection:
            connection.execute(sa.delete(VisitRow))
            assert samples_ms(store, measurement_id) == [[1.0]]
        assert samples_ms(store, measurement_id) == []
    database.close()


def test_opening_waits_for_no_writer(store_url: str) -> None:
    database = Database(store_url)
    with database.writing() as connection:
        connection.execute(sa.delete(VisitRow))
        MeasurementStore(store_url).close()
    database.close()


def test_what_fails_half_way_is_not_kept(store_url: str) -> None:
    database = Database(store_url)
    protocol = {"id": "p", "settings": {}}

    def insert_twice() -> None:
        with database.writing() as connection:
            connection.execute(sa.insert(ProtocolRow).values(protocol))
            connection.execute(sa.insert(ProtocolRow).values(protocol))

    with pytest.raises(StoreError, match="refused a row"):
        insert_twice()
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(ProtocolRow)) == 0
    database.close()
