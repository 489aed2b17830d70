"""Attribute: what a kind can be told, read from a key and checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, UnknownNameError
from profiler.ops.attribute import LARGEST, Attribute


@given(st.integers(0, 999_999_999))
def test_a_number_is_read_as_it_is_written(value: int) -> None:
    assert Attribute("out").parse(str(value)) == value


@given(st.integers())
def test_a_number_within_its_range_is_allowed_and_no_other(value: int) -> None:
    attribute = Attribute("inputs", least=2, most=16)
    if 2 <= value <= 16:
        assert attribute.check(value) == value
    else:
        with pytest.raises(InputError, match="must be 2 to 16"):
            attribute.check(value)


def test_a_number_has_a_largest_value_where_none_is_given() -> None:
    with pytest.raises(InputError, match=str(LARGEST)):
        Attribute("out").check(LARGEST + 1)


def test_a_word_that_is_no_choice_is_answered_with_the_nearest() -> None:
    attribute = Attribute("activation", choices=("relu", "none"))
    assert attribute.check(attribute.parse("relu")) == "relu"
    with pytest.raises(UnknownNameError, match=r"Try: .*relu"):
        attribute.check(attribute.parse("rleu"))


@pytest.mark.parametrize(("in_key", "value", "said"), [(True, 1, True), (False, 2, True)])
def test_an_attribute_is_said(in_key: bool, value: int, said: bool) -> None:
    assert Attribute("groups", default=1, in_key=in_key).is_said(value) == said


def test_an_attribute_added_later_is_not_said_at_its_default() -> None:
    assert not Attribute("groups", default=1, in_key=False).is_said(1)
