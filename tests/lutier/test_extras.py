"""What each extra is for, and what of it is missing here."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from lutier import extras
from lutier.extras import PURPOSES, extra_names, find_extra

ROOT = Path(__file__).parents[2]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


class Stand:
    """The metadata of a distribution."""

    def __init__(self, *requires: str) -> None:
        self.requires = list(requires)


@pytest.fixture
def requires(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(
        "torch>=2",
        'click>=1; python_version >= "3"',
        'click>=8; extra == "here"',
        'no-such-thing>=1; extra == "gone"',
        'click>=9999; extra == "old"',
        'rich; extra == "old"',
        'no-such-thing; python_version < "3" and extra == "here"',
    )
    monkeypatch.setattr(extras, "distribution", lambda name: stand)


@pytest.mark.parametrize("name", sorted(DECLARED.keys() - {"dev", "docs"}))
def test_every_extra_says_what_it_is_for(name: str) -> None:
    assert PURPOSES[name]


def test_what_is_installed_is_named_with_its_version(requires: None) -> None:
    extra = find_extra("here")
    assert [text.partition(" ")[0] for text in extra.installed] == ["click"]
    assert extra.missing == ()


def test_what_is_missing_is_named_with_the_command(requires: None) -> None:
    extra = find_extra("gone")
    assert (extra.installed, extra.missing) == ((), ("no-such-thing",))
    assert extra.command == "pip install 'lutier[gone]'"


def test_what_is_too_old_is_missing(requires: None) -> None:
    (missing,) = find_extra("old").missing
    assert missing.startswith("click>=9999 (here is ")


def test_without_the_metadata_of_a_distribution_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(name: str) -> Stand:
        raise extras.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", none)
    assert extra_names() == ()


def test_tools_for_development_are_no_extra_for_use() -> None:
    assert not {"dev", "docs"} & {*extra_names()}
    assert set(extra_names()) <= set(PURPOSES)
