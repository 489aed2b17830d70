"""``lutier report``: one file, and one line where it cannot be made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import drawn_results as made
import in_process
import pytest


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    return in_process.run("report", *words, capsys=capsys)


def test_a_page_is_written_and_notes_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.two_runs(tmp_path / "runs")
    page = tmp_path / "new" / "page.html"
    code, out, err = run(str(tmp_path / "runs"), "-o", str(page), capsys=capsys)
    assert code == 0
    assert f"wrote {page}" in out
    assert "2 results" in out
    assert "note: No latency table" in err
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_says_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made.write_result(tmp_path / "runs")
    made.fill_store(f"sqlite:///{tmp_path / 'lutier.db'}")
    page = tmp_path / "page.html"
    _, out, _ = run(str(folder), "-o", str(page), "--json", capsys=capsys)
    said = json.loads(out)
    assert said["runs"] == ["runs"]
    assert said["bytes"] == page.stat().st_size
    assert [note for note in said["notes"] if "lutier fit" in note]


def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = made.write_result(tmp_path / "good")
    other = made.write_result(tmp_path / "other", lutier_version="9.9", details={"rounds": 1})
    (tmp_path / "empty").mkdir()
    page = tmp_path / "page.html"
    for words, says in (
        ([str(tmp_path / "gone")], "no folder"),
        ([str(tmp_path / "empty")], "no result.json"),
        ([str(other)], "Lutier 9.9"),
        ([str(good), "--db", "nonsense"], "sqlite:///"),
    ):
        code, _, err = run(*words, "-o", str(page), capsys=capsys)
        assert code == 2
        assert says in err
        assert len(err.strip().splitlines()) == 1
        assert not page.exists()
    code, _, err = run(str(good), "-o", str(tmp_path), capsys=capsys)
    assert (code, "it is a folder" in err) == (2, True)


def test_without_plotly_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    code, _, err = run(str(made.write_result(tmp_path)), capsys=capsys)
    assert code == 3
    assert "pip install 'lutier[report]'" in err
