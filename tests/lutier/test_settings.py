from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import InputError, UnknownNameError
from lutier.settings import Settings, load_settings


def load(folder: Path, flags: dict[str, object] | None = None, **environment: str) -> Settings:
    return load_settings(flags, environment, folder)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("seed = 1\nnetworks = 11\nmax_rounds = 21\n")
    settings = load(tmp_path, {"max_rounds": 23}, LUTIER_NETWORKS="12", LUTIER_MAX_ROUNDS="22")
    assert (settings.seed, settings.networks, settings.max_rounds) == (1, 12, 23)


def test_a_flag_that_was_not_typed_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {"seed": None}, LUTIER_SEED="7").seed == 7


def test_an_unknown_key_in_the_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("max_round = 30\n")
    with pytest.raises(UnknownNameError, match="max_rounds"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["seed = ", "\x00", "seed = -1", "networks = 'many'"])
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "lutier.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_without_a_url_the_database_lies_in_home(tmp_path: Path) -> None:
    settings = load(tmp_path, LUTIER_HOME=str(tmp_path / "home"))
    assert settings.db_url == f"sqlite:///{tmp_path / 'home' / 'lutier.db'}"


def test_protocol_takes_the_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, LUTIER_MIN_SECONDS="0.5", LUTIER_TARGET_ERROR="0.02")
    protocol = settings.protocol()
    assert (protocol.min_seconds, protocol.target_error) == (0.5, 0.02)


@pytest.mark.parametrize(
    ("db", "shown"),
    [
        (
            "postgresql+psycopg://me:secret@host:5/lutier",
            "postgresql+psycopg://me:***@host:5/lutier",
        ),
        ("postgresql+psycopg://me:a@b@host/lutier", "postgresql+psycopg://me:***@host/lutier"),
        ("postgresql+psycopg://me@host/lutier", "postgresql+psycopg://me@host/lutier"),
        ("sqlite:////tmp/lutier.db", "sqlite:////tmp/lutier.db"),
    ],
)
def test_the_database_is_shown_without_its_password(db: str, shown: str) -> None:
    assert Settings(db=db).shown_db == shown
