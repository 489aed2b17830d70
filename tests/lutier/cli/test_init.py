from __future__ import annotations

from pathlib import Path

import pytest
from in_process import answer, run, run_in_one_line

from lutier.settings import FILE_NAME, Settings, load_settings


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_writes_the_file_that_settings_are_read_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("init", capsys=capsys)
    assert (code, err) == (0, "")
    assert out == f"wrote {FILE_NAME}: {len(Settings.model_fields)} settings with their defaults\n"
    assert load_settings({}, {}, tmp_path) == Settings()


def test_a_second_time_it_refuses_and_says_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE_NAME).write_text("seed = 4\n")
    code, _, err = run_in_one_line("init", capsys=capsys)
    assert code == 2
    assert "is there already" in err
    assert "--force" in err
    assert load_settings({}, {}, tmp_path).seed == 4
    assert run("init", "--force", capsys=capsys)[0] == 0
    assert load_settings({}, {}, tmp_path).seed == 0


def test_a_file_of_another_name_is_said_not_to_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_in_one_line("init", "-o", "mine.toml", capsys=capsys)
    assert code == 0
    assert f"settings are read from {FILE_NAME}" in err
    assert (tmp_path / "mine.toml").is_file()


def test_quiet_prints_nothing_and_json_lists_the_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("init", "-q", capsys=capsys) == (0, "", "")
    found = answer("init", "--force", "--quiet", capsys=capsys)
    assert found == {"file": FILE_NAME, "settings": list(Settings.model_fields)}
    # Quiet was of that command alone.
    assert run("init", "--force", capsys=capsys)[1].startswith("wrote")
