"""The table that a result was made with is found where it is, and never made up."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made
import pytest

from devices.environment import Environment
from devices.errors import InputError
from devices.target import Target
from lutier.plots.evidence import Evidence, gather_evidence
from lutier.plots.runs import find_runs
from lutier.settings import Settings
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable


def gather(folder: Path, settings: Settings, db: str | None = None) -> Evidence:
    found = gather_evidence(find_runs([folder]), settings, [folder], db)
    assert list(found) == [made.TARGET]
    return found[made.TARGET]


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_a_store_beside_the_results_is_taken_before_the_usual_one(
    tmp_path: Path, settings: Settings
) -> None:
    folder = tmp_path / "runs"
    made.write_result(folder / "a")
    made.fill_store(url(folder / "lutier.db"))
    (tmp_path / "home").mkdir()
    made.fill_store(settings.db_url, left_out=[made.SPACE.all_ops()[0].key])
    found = gather(folder, settings)
    assert found.table is not None
    assert len(found.table) == len(made.SPACE.all_ops())
    assert found.store == url(folder / "lutier.db")
    assert len(found.by_key[made.SPACE.all_ops()[0].key].recorded) == 10


def test_the_very_table_of_the_search_is_taken_wherever_it_is(
    tmp_path: Path, settings: Settings
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    made.fill_store(url(folder / "lutier.db"), left_out=[made.SPACE.all_ops()[0].key])
    (tmp_path / "home").mkdir()
    made.fill_store(settings.db_url)
    with MeasurementStore(settings.db_url) as store:
        digest = LatencyTable.load(store, Target.parse(made.TARGET)).digest
    made.write_result(folder / "a", details={"table_digest": digest})
    found = gather(folder, settings)
    assert found.store == settings.shown_db
    assert found.table is not None
    assert found.table.digest == digest
    assert not [note for note in found.notes if "table" in note and "not the one" in note]


def test_a_table_that_has_changed_since_is_said_to_have(tmp_path: Path, settings: Settings) -> None:
    folder = made.write_result(tmp_path / "a", details={"table_digest": "f" * 64})
    made.fill_store(url(tmp_path / "lutier.db"))
    found = gather(folder, settings)
    assert any("not the one that every search here was made with" in note for note in found.notes)


def test_a_table_of_another_machine_is_said_to_be(tmp_path: Path, settings: Settings) -> None:
    folder = made.write_result(tmp_path / "a")
    made.fill_store(url(tmp_path / "lutier.db"), environment=Environment.of({"chip": "other"}))
    assert any("was measured in environment" in note for note in gather(folder, settings).notes)


def test_where_there_is_no_table_nothing_is_made(tmp_path: Path, settings: Settings) -> None:
    folder = made.write_result(tmp_path / "a")
    found = gather(folder, settings)
    assert found.table is None
    assert not found.rows
    assert not found.models
    assert "--db URL" in found.notes[0]
    assert [path.name for path in tmp_path.rglob("*.db")] == []


def test_only_the_database_that_was_typed_is_looked_in(tmp_path: Path, settings: Settings) -> None:
    folder = made.write_result(tmp_path / "a")
    made.fill_store(url(tmp_path / "lutier.db"))
    typed = url(tmp_path / "typed.db")
    found = gather(folder, settings.model_copy(update={"db": typed}), typed)
    assert found.table is None
    assert "typed.db" in found.notes[0]
    nonsense = settings.model_copy(update={"db": "nonsense"})
    with pytest.raises(InputError, match="sqlite:///"):
        gather(folder, nonsense, "nonsense")


def test_a_missing_model_is_a_note(tmp_path: Path, settings: Settings) -> None:
    folder = made.write_result(tmp_path / "a")
    made.fill_store(url(tmp_path / "lutier.db"))
    assert any("lutier fit" in note for note in gather(folder, settings).notes)


def test_targets_of_further_budgets_are_looked_for_too(tmp_path: Path, settings: Settings) -> None:
    also = {"target": "cpu/torch?threads=1", "budget_ms": 2.0, "predicted_ms": 1.0}
    folder = made.write_result(tmp_path / "a", details={"also": [{**also, "measured_ms": 1.1}]})
    found = gather_evidence(find_runs([folder]), settings, [folder])
    assert list(found) == [made.TARGET, "cpu/torch?threads=1"]
