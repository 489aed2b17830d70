from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from devices.environment import Environment
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.peek import peek_targets


def store_of(path: Path, *targets: str) -> str:
    url = f"sqlite:///{path}"
    with MeasurementStore(url) as store:
        for target in targets:
            number = store.begin(
                "identity/3x4x4",
                "op",
                Target.parse(target),
                Environment.of({"chip": "A"}),
                Protocol(),
                None,
            )
            store.finish(number, summarise([[0.1, 0.1]] * 20))
    return url


def test_it_sees_what_the_store_holds(tmp_path: Path) -> None:
    url = store_of(tmp_path / "a b.db", "cpu/torch?threads=2", "cpu/torch?threads=1")
    with MeasurementStore(url) as store:
        assert peek_targets(url) == list(store.targets())


def test_it_makes_and_changes_nothing(tmp_path: Path) -> None:
    assert peek_targets(f"sqlite:///{tmp_path / 'none.db'}") == []
    assert list(tmp_path.iterdir()) == []
    text = tmp_path / "notes.db"
    text.write_bytes(b"my notes" * 200)
    assert peek_targets(f"sqlite:///{text}") == []
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE mine (a)")
    assert peek_targets(f"sqlite:///{tmp_path / 'other.db'}") == []
    assert {path.name for path in tmp_path.iterdir()} == {"notes.db", "other.db"}


@pytest.mark.parametrize("url", ["postgresql://me@192.0.2.1/x", "sqlite://", "", "nonsense"])
def test_what_is_no_file_is_not_asked(url: str) -> None:
    assert peek_targets(url) == []


def test_a_store_that_is_locked_is_not_waited_for_to_be_written(tmp_path: Path) -> None:
    url = store_of(tmp_path / "lut.db", "cpu/torch?threads=1")
    with closing(sqlite3.connect(tmp_path / "lut.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert peek_targets(url) == ["cpu/torch?threads=1"]
