"""Looking at a store: what is in it, and that nothing of it changes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devices.environment import Environment
from devices.errors import MissingTableError, StoreError
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.reader import StoreReader
from profiler.visit import Visit

CPU = Target.make("cpu", "onnxruntime", {})
GPU = Target.make("cuda:0", "torch", {})
CHIP = Environment.of({"chip": "A"})


def measure(
    store: MeasurementStore,
    key: str,
    *,
    target: Target = CPU,
    role: str = "op",
    findings: tuple[str, ...] | None = (),
    protocol: Protocol | None = None,
) -> None:
    id_ = store.begin(key, role, target, CHIP, protocol or Protocol(), None)
    visits = [[1.0, 2.0]] * 3
    for number, runs in enumerate(visits):
        store.add_visit(id_, number, Visit(tuple(runs)))
    store.finish(id_, replace(summarise(visits), findings=findings))


@pytest.fixture
def filled(store_url: str) -> str:
    with MeasurementStore(store_url) as store:
        measure(store, "a", target=GPU)
        measure(store, "a")
        measure(store, "b", findings=("noisy",))
        measure(store, "b", findings=(), protocol=Protocol(timed_runs=7))
        measure(store, "c", findings=None)
        measure(store, "net", role="network")
        store.fail(store.begin("d", "op", CPU, CHIP, Protocol(), None), "no kernel")
        store.begin("e", "op", CPU, CHIP, Protocol(), None)
    return store_url


def test_an_overview_counts_keys_by_role_failures_and_verdicts(filled: str) -> None:
    with StoreReader(filled) as store:
        first, second = store.overview()
    assert (first.target, second.target) == (str(CPU), str(GPU))
    assert first.environment == CHIP
    assert dict(first.measured) == {"op": 3, "network": 1}
    assert (first.failures, first.measuring) == (1, 1)
    assert (first.judged, first.sound, first.sound_share) == (4, 3, 0.75)
    assert first.last_measured is not None


def test_what_was_never_judged_has_no_share_of_sound_rows(store_url: str) -> None:
    with MeasurementStore(store_url) as store:
        measure(store, "a", findings=None)
    with StoreReader(store_url) as reader:
        (facts,) = reader.overview()
    assert facts.sound_share is None


def test_one_row_and_one_failure_are_found_by_their_key(filled: str) -> None:
    with StoreReader(filled) as store:
        row = store.row(CPU, CHIP.id, "a")
        assert row is not None
        assert [visit.samples_ms for visit in row.recorded] == [(1.0, 2.0)] * 3
        assert store.row(CPU, CHIP.id, "d") is None
        assert store.failure(CPU, CHIP.id, "d") == "no kernel"
        assert store.failure(CPU, CHIP.id, "a") is None
        assert store.row(CPU, CHIP.id, "' OR 1=1 --") is None


def test_a_stamp_changes_with_the_table_and_only_then(filled: str) -> None:
    with MeasurementStore(filled) as writer, StoreReader(filled) as reader:
        before = reader.stamp(CPU, CHIP.id)
        measure(writer, "other", target=GPU)
        assert reader.stamp(CPU, CHIP.id) == before
        measure(writer, "other")
        assert reader.stamp(CPU, CHIP.id) != before


def test_a_reader_sees_what_is_written_meanwhile_and_writes_nothing(filled: str) -> None:
    with MeasurementStore(filled) as writer, StoreReader(filled) as reader:
        for write in (
            lambda: measure(reader, "new"),
            lambda: reader.fail(1, "changed"),
            lambda: reader.begin("new", "op", CPU, CHIP, Protocol(), None),
        ):
            with pytest.raises(StoreError, match=r"read.?only"):
                write()
        assert reader.targets() == {str(CPU): 5, str(GPU): 1}
        measure(writer, "later", target=GPU)
        assert reader.targets()[str(GPU)] == 2


def test_a_store_that_is_not_there_is_not_made(new_url: Callable[[], str], tmp_path: Path) -> None:
    url = new_url()
    with pytest.raises(MissingTableError, match="lutier profile"):
        StoreReader(url)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made_and_memory_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError, match="no database at"):
        StoreReader(f"sqlite:///{tmp_path / 'gone' / 'lutier.db'}")
    assert not (tmp_path / "gone").exists()
    with pytest.raises(MissingTableError, match="in memory"):
        StoreReader("sqlite://")


def test_an_older_schema_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    MeasurementStore(f"sqlite:///{file}").close()
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '0002'")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="Try: lutier table show --db sqlite:///"):
        StoreReader(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom the file system refuses")
def test_a_file_in_a_folder_that_nobody_may_write_to_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lutier.db"
    with MeasurementStore(f"sqlite:///{file}") as store:
        measure(store, "a")
    tmp_path.chmod(0o500)
    try:
        with StoreReader(f"sqlite:///{file}") as reader:
            assert reader.targets() == {str(CPU): 1}
    finally:
        tmp_path.chmod(0o700)
