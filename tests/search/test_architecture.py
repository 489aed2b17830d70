from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, LutierError
from search.architecture import Architecture

choices = st.lists(st.integers(0, 35), min_size=1, max_size=30).map(tuple)


@given(st.sampled_from(["mobile", "mobile-tiny", "mobile?resolution=96&width=0.5"]), choices)
def test_id_reads_back(space: str, taken: tuple[int, ...]) -> None:
    architecture = Architecture(space, taken)
    assert Architecture.parse(architecture.id) == architecture


def test_id_is_the_space_and_one_base_36_digit_a_block() -> None:
    assert Architecture("mobile-tiny", (0, 9, 10, 35)).id == "mobile-tiny:09az"


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(LutierError):
        assert Architecture.parse(text).id == text


@pytest.mark.parametrize(
    "text", ["", "mobile", ":00", "mobile:", "mobile:0-1", "mobile:0A", "0316"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not an architecture"):
        Architecture.parse(text)


@pytest.mark.parametrize("choice", [-1, 36])
def test_a_choice_needs_a_digit(choice: int) -> None:
    with pytest.raises(InputError, match="0 to 35"):
        Architecture("mobile", (choice,))


def test_architectures_are_values() -> None:
    first, again = Architecture("s", (1, 2)), Architecture("s", (1, 2))
    assert first == again
    assert len({first, again}) == 1
    assert Architecture("s", (0, 9)) < first
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.space = "t"  # type: ignore[misc]  # that it cannot be set is what is shown
