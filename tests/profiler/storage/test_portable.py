"""Rows that travel from one store to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from devices.environment import Environment
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow, PortableVisit
from profiler.table import LatencyTable
from profiler.visit import Visit

TARGET = Target.parse("cpu/torch?threads=1")
HERE = Environment.of({"chip": "A"})
ROW = PortableRow("linear/64/out=10", "op", 1.5, protocol={"imported_from": "csv"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        yield store


def test_a_measurement_is_read_with_all_that_belongs_to_it(store: MeasurementStore) -> None:
    measurement_id = store.begin(ROW.key, "op", TARGET, HERE, Protocol(), "ab" * 32)
    store.add_visit(measurement_id, 0, Visit((1.0, 2.0), (0.5, 0.6)))
    summary = replace(
        summarise([[1.0, 2.0]]), exponent=0.25, nominal_ms=0.5, findings=("few", "noisy")
    )
    store.finish(measurement_id, summary)
    (row,) = store.portable_rows(TARGET, HERE.id)
    assert (row.protocol, row.protocol_id) == (Protocol().to_dict(), Protocol().id)
    assert [visit.samples_ms for visit in row.recorded] == [(1.0, 2.0)]
    assert [visit.reference_ms for visit in row.recorded] == [(0.5, 0.6)]
    assert (row.median_ms, row.visits, row.runs) == (1.0, 1, 2)
    assert (row.exponent, row.nominal_ms, row.findings) == (0.25, 0.5, "few noisy")


def test_what_is_added_is_there_and_stays_as_it_is(store: MeasurementStore) -> None:
    visit = PortableVisit(datetime(2026, 1, 2, 3, 4, 5), (1.5,), (0.5,))
    rows = [replace(ROW, recorded=(visit,)), replace(ROW, key="linear/32/out=10")]
    assert store.add_portable_rows(TARGET, HERE, rows).added == 2
    changed = [rows[0], replace(rows[1], median_ms=9.0)]
    again = store.add_portable_rows(TARGET, HERE, changed)
    assert (again.added, again.present) == (0, (ROW.key,))
    assert again.conflicting == {"linear/32/out=10": 1.5}
    stored = {row.key: row for row in store.portable_rows(TARGET, HERE.id)}
    assert stored[ROW.key].recorded == (visit,)
    assert stored["linear/32/out=10"].median_ms == 1.5


@pytest.mark.parametrize(
    "change", [{"exponent": 0.5}, {"nominal_ms": 0.25}, {"findings": "noisy"}], ids=str
)
def test_a_row_that_differs_in_its_quality_alone_conflicts(
    store: MeasurementStore, change: dict[str, Any]
) -> None:
    judged = replace(ROW, exponent=1.0, nominal_ms=0.5, findings="sound", ops=ROW.key)
    assert store.add_portable_rows(TARGET, HERE, [judged]).added == 1
    assert store.add_portable_rows(TARGET, HERE, [judged]).present == (ROW.key,)
    again = store.add_portable_rows(TARGET, HERE, [replace(judged, **change)])
    assert again.conflicting == {ROW.key: ROW.median_ms}
    (stored,) = store.portable_rows(TARGET, HERE.id)
    assert (stored.figures, stored.ops) == (judged.figures, judged.ops)


def test_a_measurement_of_this_machine_is_not_mistaken_for_an_import(
    store: MeasurementStore,
) -> None:
    store.add_portable_rows(TARGET, HERE, [ROW])
    assert store.statuses(TARGET, HERE, Protocol()) == {}
    assert LatencyTable.load(store, TARGET).networks == {}
    assert [row.key for row in store.portable_rows(TARGET, HERE.id)] == [ROW.key]


def test_adding_nothing_leaves_no_trace(store: MeasurementStore) -> None:
    assert store.add_portable_rows(TARGET, HERE, []).added == 0
    assert store.environments(TARGET) == []
