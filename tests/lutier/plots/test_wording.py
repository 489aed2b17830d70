"""Figures in words."""

from __future__ import annotations

from dataclasses import replace

import drawn_results as made
import pytest

from lutier.plots.blocks import break_down
from lutier.plots.wording import interval_text, latency_text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.164605, 0.165177), "[0.16461, 0.16518] ms"),
        ((0.01, 0.011), "[10.0, 11.0] us"),
        ((12.0, 14.0), "[12.0, 14.0] ms"),
        ((0.5, 0.5), "[0.500000, 0.500000] ms"),
        ((None, 1.0), ""),
    ],
)
def test_an_interval_has_as_many_digits_as_show_it(
    ends: tuple[float | None, float | None], text: str
) -> None:
    assert interval_text(*ends) == text


def test_a_latency_says_where_it_is_from() -> None:
    block = break_down(made.SPACE, made.FOUND, made.made_evidence()).blocks[0]
    assert latency_text(block) == "10.0 us"
    assert latency_text(replace(block, source="regressed")) == "~10.0 us"
    assert latency_text(replace(block, source="free")) == "free"
    assert latency_text(replace(block, latency_ms=None)) == "not known"
