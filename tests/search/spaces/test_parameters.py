from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from search.spaces.parameters import MOST_CELLS, canonical, cells_of, check, join, scaled, widths_of

CELLS = (4, 4, 1)


def test_a_name_says_what_differs_from_the_default() -> None:
    assert canonical("x", {"a": (1, 1), "b": ("2-2", "2-2")}) == "x"
    assert canonical("x", {"a": (2.0, 1), "b": ("2-2", "1-1"), "c": (0.5, 1)}) == (
        "x?a=2&b=2-2&c=0.5"
    )


@pytest.mark.parametrize(
    ("depth", "cells"),
    [
        ("1", (4, 4, 1)),
        (1.0, (4, 4, 1)),
        ("0.5", (2, 2, 1)),
        (0.05, (1, 1, 1)),
        ("1.125", (5, 5, 1)),
        ("1.5", (6, 6, 2)),
        ("2-3-4", (2, 3, 4)),
    ],
)
def test_a_depth_is_a_multiplier_or_the_cells_themselves(
    depth: str | float, cells: tuple[int, ...]
) -> None:
    assert cells_of("x", depth, CELLS) == cells


@pytest.mark.parametrize(
    ("depth", "why"),
    [
        ("2-3", "has 2 numbers: x has 3 stages"),
        ("2-3-0", "1 to 64"),
        (f"1-1-{MOST_CELLS + 1}", "1 to 64"),
        ("0", "must be 0.05 to 10"),
        ("11", "must be 0.05 to 10"),
        (float("nan"), "must be"),
        (float("inf"), "must be"),
        ("-1", "must be"),
        ("1--2", "must be"),
        ("", "must be"),
        ("1_0", "must be"),
        ("deep", "x.depth=4-4-1"),
    ],
)
def test_a_depth_that_cannot_be_is_refused(depth: str | float, why: str) -> None:
    with pytest.raises(InputError, match=why):
        cells_of("x", depth, CELLS)


@given(st.lists(st.integers(1, MOST_CELLS), min_size=3, max_size=3))
def test_cells_are_read_back_as_they_were_written(cells: list[int]) -> None:
    assert cells_of("x", join(cells), CELLS) == tuple(cells)


@pytest.mark.parametrize(
    ("widths", "width", "why"),
    [
        ("8-16", 1.0, "has 2 numbers: x has 3 parts"),
        ("8-16-0", 1.0, "1 to 16384"),
        ("8-16-99999", 1.0, "1 to 16384"),
        ("wide", 1.0, "not numbers"),
        ("8-16-32", 0.5, "either of them"),
    ],
)
def test_widths_that_cannot_be_are_refused(widths: str, width: float, why: str) -> None:
    with pytest.raises(InputError, match=why):
        widths_of("x", widths, width, (8, 16, 24))


def test_widths_are_taken_as_they_are() -> None:
    assert widths_of("x", "7-9-11", 1.0, (8, 16, 24)) == (7, 9, 11)


@given(st.integers(1, 2000), st.floats(0.05, 10))
def test_a_scaled_width_is_a_multiple_of_eight_never_much_below(width: int, factor: float) -> None:
    found = scaled(width, factor)
    assert found % 8 == 0
    assert found >= 0.9 * width * factor


def test_a_resolution_that_leaves_a_remainder_is_refused_with_the_next_that_does_not() -> None:
    check("x", 36, 1.0, 10, multiple=4)
    with pytest.raises(InputError, match="multiple of 4") as caught:
        check("x", 35, 1.0, 10, multiple=4)
    assert caught.value.hint == "x?resolution=32"
