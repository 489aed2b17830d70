from __future__ import annotations

from pathlib import Path

import pytest

from lutier.checks import check_packages, check_store, run_checks
from lutier.settings import Settings


def test_all_is_well_in_an_environment_of_our_own(tmp_path: Path) -> None:
    findings = run_checks(Settings(db=f"sqlite:///{tmp_path / 'lutier.db'}"))
    assert not [finding for finding in findings if finding.verdict == "fail"]
    assert {finding.name for finding in findings} >= {"python", "packages", "load", "database"}


def test_looking_at_a_database_that_is_not_there_does_not_make_it(tmp_path: Path) -> None:
    file = tmp_path / "lutier.db"
    (finding,) = check_store(Settings(db=f"sqlite:///{file}"))
    assert finding.verdict == "ok"
    assert not file.exists()


def test_a_file_that_is_no_database_is_a_failure_with_advice(tmp_path: Path) -> None:
    file = tmp_path / "lutier.db"
    file.write_text("not a database" * 100)
    (finding,) = check_store(Settings(db=f"sqlite:///{file}"))
    assert finding.verdict == "fail"
    assert finding.advice


def test_a_folder_that_hides_one_of_our_packages_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "__init__.py").write_text("")
    loaded = {name: sys.modules[name] for name in list(sys.modules) if name == "search"}
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = list(check_packages(Settings()))[-1]
    assert finding.verdict == "fail"
    assert "search is" in finding.text
