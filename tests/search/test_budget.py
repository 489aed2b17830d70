from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from search.budget import format_ms, parse_budget


@pytest.mark.parametrize(
    ("text", "budget_ms"),
    [
        ("20ms", 20),
        ("1.5 ms", 1.5),
        ("800us", 0.8),
        ("800µs", 0.8),  # the micro sign
        ("800μs", 0.8),  # the Greek letter mu, which looks the same
        ("0.1s", 100),
        ("50000ns", 0.05),
        (" 2e1ms ", 20),
        (".5ms", 0.5),
    ],
)
def test_reads_milliseconds_from_any_unit(text: str, budget_ms: float) -> None:
    assert parse_budget(text) == pytest.approx(budget_ms, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("20", "has no unit"),
        ("0ms", "above zero"),
        ("-3ms", "above zero"),
        ("1e999ms", "finite"),
        ("1e9s", "an hour"),
        ("1e-9ns", "1ns"),
        ("20m", "unknown unit"),
        ("20MS", "unknown unit"),
        ("fast", "not a number"),
        ("", "not a number"),
        ("1,5ms", "not a number"),
        ("nanms", "not a number"),
        ("1ms2", "not a number"),
    ],
)
def test_says_why_a_budget_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse_budget(text)
    assert caught.value.exit_code == 2
    assert caught.value.hint


@given(st.text(max_size=20))
def test_any_text_is_a_positive_budget_or_refused(text: str) -> None:
    try:
        budget_ms = parse_budget(text)
    except InputError:
        return
    assert math.isfinite(budget_ms)
    assert budget_ms > 0


@given(st.floats(1e-4, 1e5))
def test_a_written_latency_reads_back_to_three_digits(latency_ms: float) -> None:
    assert parse_budget(format_ms(latency_ms)) == pytest.approx(latency_ms, rel=6e-3, abs=6e-5)


@pytest.mark.parametrize(
    ("latency_ms", "text"),
    [
        (0.0451, "45.1 us"),
        (0.812, "0.812 ms"),
        (1.234, "1.23 ms"),
        (12.34, "12.3 ms"),
        (123.4, "123 ms"),
        (math.inf, "inf"),
    ],
)
def test_latencies_are_written_for_a_person(latency_ms: float, text: str) -> None:
    assert format_ms(latency_ms) == text
