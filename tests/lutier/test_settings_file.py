"""The file that ``lutier init`` writes says what :class:`Settings` says, and changes nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from devices.errors import InputError
from lutier.settings import FILE_NAME, Settings, load_settings
from lutier.settings_file import settings_text, write_settings

_SETTING = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


def in_force(text: str) -> str:
    """The text with the # of every setting taken away."""
    return _SETTING.sub("", text)


def test_as_it_is_it_sets_nothing() -> None:
    assert tomllib.loads(settings_text()) == {}


def test_with_every_line_in_force_it_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(in_force(settings_text()), encoding="utf-8")
    assert load_settings({}, {}, tmp_path) == Settings()


def test_every_setting_is_in_it_once() -> None:
    assert list(tomllib.loads(in_force(settings_text()))) == list(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_has_a_line_of_what_it_does_and_its_unit(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description
    assert field.description.endswith(".")
    (entry,) = (part for part in settings_text().split("\n\n") if f"\n#{name} = " in part)
    entry = " ".join(entry.replace("\n# ", " ").split())
    assert entry.startswith(f"# {field.description}")
    has_unit = name.endswith(("_seconds", "_error", "_patience"))
    assert ("Unit: " in entry) == has_unit


def test_bounds_are_said() -> None:
    assert "From 12 to 100000." in settings_text()
    assert "Above 0 below 1." in settings_text()


def test_it_fits_a_small_terminal() -> None:
    lines = settings_text().splitlines()
    assert max(len(line) for line in lines if not line.startswith("#home")) <= 80


def test_a_home_that_is_hard_to_write_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / 'a "b" \\ ü'))
    assert tomllib.loads(in_force(settings_text()))["home"] == str(Settings().home)


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("seed = 3\n")
    with pytest.raises(InputError, match="--force"):
        write_settings(path)
    assert path.read_text() == "seed = 3\n"
    write_settings(path, force=True)
    assert path.read_text(encoding="utf-8") == settings_text()


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_settings(tmp_path / "none" / FILE_NAME)


@pytest.mark.parametrize("name", ["benchmark_model", "perf_test"])
def test_an_empty_program_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(f'{name} = ""\n')
    assert load_settings({}, {}, tmp_path).programs == {}
