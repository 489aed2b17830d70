"""The error tree: what a reader of its drawing, a user and the command line rely on."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import errors
from devices.errors import InputError, LutierError, MissingEntryError, UnknownNameError

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, LutierError)
]


def drawn_tree() -> dict[str, tuple[str | None, int]]:
    """Parent and exit code of every class in the drawing; a class without a number inherits it."""
    tree: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+Error) +(\d+)? ", line)
        if match:
            branch, name, code = match.groups()
            path = path[: len(branch) // 4]
            parent = path[-1] if path else None
            tree[name] = (parent, int(code) if code else tree[path[-1]][1])
            path.append(name)
    return tree


def test_the_drawing_is_the_tree() -> None:
    real = {
        cls.__name__: (cls.__bases__[0].__name__ if cls is not LutierError else None, cls.exit_code)
        for cls in CLASSES
    }
    assert drawn_tree() == real


def test_exit_codes_are_the_published_ones() -> None:
    branches = {cls.__name__: cls.exit_code for cls in CLASSES if LutierError in cls.__bases__}
    assert branches == {
        "InputError": 2,
        "MissingError": 3,
        "DeviceError": 4,
        "BudgetError": 5,
        "UntrustworthyError": 6,
    }


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("budget '3'"), "budget '3'"),
        (InputError("budget '3'", "has no unit"), "budget '3': has no unit"),
        (InputError("budget '3'", hint="3ms"), "budget '3'. Try: 3ms"),
        (InputError("budget '3'", "has no unit", "3ms"), "budget '3': has no unit. Try: 3ms"),
    ],
)
def test_an_error_reads_as_what_why_and_hint(error: LutierError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_the_way_between_processes(cls: type[LutierError]) -> None:
    error = cls("what", "why", "hint")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert type(copy) is cls
    assert (copy.what, copy.why, copy.hint) == ("what", "why", "hint")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    error = UnknownNameError.of("space", "mobil-tiny", ["mobile", "mobile-tiny", "darts"])
    assert "unknown space 'mobil-tiny'" in str(error)
    assert error.hint.startswith("mobile-tiny")
    assert "darts" not in error.hint


def test_a_name_near_nothing_is_answered_with_all_of_a_short_list() -> None:
    assert UnknownNameError.of("device", "?", ["cuda", "cpu"]).hint == "one of cpu, cuda"


def test_a_long_list_is_cut_and_counted() -> None:
    hint = UnknownNameError.of("op", "?", [f"name{i:02}" for i in range(30)]).hint
    assert "name11" in hint
    assert "name12" not in hint
    assert "30 in all" in hint


@given(st.text(), st.lists(st.text()))
def test_any_name_among_any_names_gives_a_message(name: str, known: list[str]) -> None:
    assert repr(name) in str(UnknownNameError.of("space", name, known))


def test_a_missing_entry_is_told_from_bad_input() -> None:
    assert not issubclass(MissingEntryError, InputError)
