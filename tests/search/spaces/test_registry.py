from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, LutierError, UnknownNameError
from search.spaces.mobile import mobile, mobile_tiny
from search.spaces.registry import open_space, space_names


def test_built_in_spaces_are_listed_and_open() -> None:
    assert {"mobile", "mobile-tiny"} <= set(space_names())
    assert open_space("mobile") == mobile()
    assert open_space("mobile-tiny") == mobile_tiny()


@given(
    st.sampled_from(["mobile", "mobile-tiny"]),
    st.integers(8, 512),
    st.sampled_from([0.25, 0.5, 1.0, 1.4, 1 / 3, 2.00001]),
    st.integers(2, 1000),
)
def test_a_space_opens_from_its_own_name(
    name: str, resolution: int, width: float, classes: int
) -> None:
    space = open_space(f"{name}?resolution={resolution}&width={width}&classes={classes}")
    assert open_space(space.name) == space
    assert space.input_shape == (3, resolution, resolution)
    assert space.classes == classes


def test_an_unknown_space_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="mobile-tiny"):
        open_space("mobil-tiny")


def test_an_unknown_parameter_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="resolution"):
        open_space("mobile?resolutoin=96")


def test_a_parameter_said_twice_is_refused() -> None:
    with pytest.raises(InputError, match="resolution twice"):
        open_space("mobile?resolution=96&resolution=128")


@pytest.mark.parametrize(
    "text",
    ["mobile?width=wide", "mobile?resolution=9.5", "mobile?classes=", "mobile?classes=1_000"],
)
def test_a_parameter_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a number"):
        open_space(text)


@given(st.text(max_size=30))
def test_any_query_opens_a_space_or_is_refused(query: str) -> None:
    with contextlib.suppress(LutierError):
        assert open_space(f"mobile-tiny?{query}").blocks
