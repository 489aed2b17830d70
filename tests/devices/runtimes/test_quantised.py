"""Bytes and what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.runtimes.quantised import Quantised, example_bytes

TYPES = ["int8", "uint8"]


@pytest.mark.parametrize("type_name", TYPES)
@given(
    scale=st.floats(2**-20, 2**20, width=32),
    zero_point=st.integers(0, 127),
    steps=st.lists(st.integers(-100, 100), min_size=1),
)
def test_a_value_in_range_comes_back_to_half_a_step(
    type_name: str, scale: float, zero_point: int, steps: list[int]
) -> None:
    ends = Quantised(scale, zero_point, type_name)
    info = np.iinfo(type_name)
    values = np.array(steps, np.float32) * np.float32(scale) * np.float32(0.9)
    low, high = ((bound - zero_point) * scale for bound in (info.min, info.max))
    values = np.clip(values, low, high).astype(np.float32)
    given_ = ends.to_bytes(values)
    assert given_.dtype == np.dtype(type_name)
    assert np.abs(ends.to_floats(given_) - values).max() <= 0.501 * scale


def test_a_value_out_of_range_is_the_largest_or_the_smallest() -> None:
    ends = Quantised(0.5, 3, "int8")
    assert ends.to_bytes(np.array([1e9, -1e9], np.float32)).tolist() == [127, -128]


def test_the_zero_point_stands_for_zero() -> None:
    ends = Quantised(0.25, 7, "uint8")
    assert ends.to_floats(np.array([7, 8], np.uint8)).tolist() == [0.0, 0.25]


@pytest.mark.parametrize("type_name", TYPES)
def test_example_bytes_are_the_same_each_time_and_of_all_values(type_name: str) -> None:
    first, again = (example_bytes((2, 100, 100), type_name) for _ in range(2))
    assert first.dtype == np.dtype(type_name)
    assert np.array_equal(first, again)
    assert len(np.unique(first)) == 256
