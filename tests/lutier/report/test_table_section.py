"""What the page shows of a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import drawn_results as made
import pytest

from devices.target import Target
from lutier.plots.evidence import Evidence
from lutier.report import table_section
from lutier.report.table_section import table_sections
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    url = f"sqlite:///{tmp_path / 'lutier.db'}"
    keys = [op.key for op in made.SPACE.all_ops()]
    made.fill_store(url, findings={keys[0]: ("noisy",), keys[1]: ("noisy", "few")})
    target = Target.parse(made.TARGET)
    with MeasurementStore(url) as store:
        table = LatencyTable.load(store, target)
        rows = tuple(store.portable_rows(target, table.environment_id))
    return replace(made.made_evidence(), table=table, rows=rows)


def test_rows_have_their_timed_runs_and_their_verdicts(evidence: Evidence) -> None:
    (section,) = table_sections({made.TARGET: evidence}, [])
    assert len(section.rows) == len(evidence.rows)
    assert [each.row.role for each in section.rows] == sorted(
        (row.role for row in evidence.rows), key=["op", "network"].index
    )
    first = next(each for each in section.rows if each.row.key == made.SPACE.all_ops()[0].key)
    assert first.findings == ("noisy",)
    assert first.runs is not None
    assert len(first.runs.text.splitlines()) == 1 + 10


def test_verdicts_are_counted_and_explained(evidence: Evidence) -> None:
    (section,) = table_sections({made.TARGET: evidence}, [])
    assert [(each.name, each.rows) for each in section.verdicts] == [("noisy", 2), ("few", 1)]
    assert section.verdicts[0].meaning == "The odd and the even visits disagree."


def test_of_a_large_table_the_rest_is_in_the_file(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_section, "MOST_ROWS", 5)
    (section,) = table_sections({made.TARGET: evidence}, [])
    assert len(section.rows) == 5
    assert section.left_out == len(evidence.rows) - 5
    assert len(section.csv.text.splitlines()) == 1 + len(evidence.rows)


def test_timed_runs_beyond_the_limit_are_left_out(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_section, "MOST_BYTES", 1500)
    (section,) = table_sections({made.TARGET: evidence}, [])
    assert section.rows[0].runs is not None
    assert section.rows[-1].runs is None


def test_without_a_table_there_is_no_section() -> None:
    assert table_sections({made.TARGET: Evidence(made.TARGET)}, []) == []
