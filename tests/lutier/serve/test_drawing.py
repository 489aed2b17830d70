"""Small figures: where values are drawn, and that text in them stays text."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutier.serve.drawing import Histogram, share_svg, strip_svg, visits_svg

LATENCIES = st.floats(min_value=1e-6, max_value=1e6)


@given(st.lists(LATENCIES, min_size=1, max_size=60))
def test_a_histogram_holds_every_value_once_and_in_its_bin(values: list[float]) -> None:
    found = Histogram.of(values)
    assert sum(found.counts) == len(values)
    assert list(found.edges) == sorted(found.edges)
    assert found.edges[0] <= min(values)
    assert max(values) <= found.edges[-1]
    for edge, after, count in zip(found.edges, found.edges[1:], found.counts, strict=False):
        inside = [v for v in values if edge * (1 - 1e-9) <= v <= after * (1 + 1e-9)]
        assert count <= len(inside)


def test_what_is_no_latency_is_left_out() -> None:
    assert Histogram.of([0.0, -1.0, math.nan, math.inf]).counts == ()
    assert Histogram.of([]).svg("nothing") == ""
    assert sum(Histogram.of([1.0, 0.0, math.nan]).counts) == 1


def test_marks_are_drawn_where_they_are_and_not_out_of_reach() -> None:
    histogram = Histogram.of([1.0, 10.0, 100.0])
    drawn = histogram.svg("three", [("line-mark", 10.0), ("line-mark", 1000.0)])
    assert re.findall(r'class="line-mark" x1="([\d.]+)"', drawn) == ["320"]
    assert histogram.place(10.0) == pytest.approx(0.5)


def test_labels_are_text() -> None:
    evil = "<script>'\""
    for drawn in (
        Histogram.of([1.0]).svg(evil),
        share_svg(0.5, evil),
        visits_svg([[1.0, 2.0]], [1.0], None, evil),
    ):
        assert "<script>" not in drawn
        assert 'aria-label="&lt;script&gt;&#39;&#34;"' in drawn


def test_visits_are_drawn_in_order_within_the_figure() -> None:
    runs = [[1.0, 1.5], [1.1, 400.0], *[[1.0, 1.2]] * 60]
    drawn = visits_svg(runs, [min(each) for each in runs], (1.0, 1.1), "visits")
    dots = re.findall(r"M([\d.]+) ([\d.]+)h", drawn)
    assert len(dots) == 2 * 62 + 62
    assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 130 for x, y in dots)
    assert visits_svg([], [], None, "none") == ""
    assert visits_svg([[1.0]], [], None, "not known how") == ""


@given(st.lists(LATENCIES, min_size=3, max_size=3), LATENCIES)
def test_strips_stay_on_their_axis(values: list[float], other: float) -> None:
    low, middle, high = sorted(values)
    ends = (min(low, other), max(high, other))
    places = re.findall(r'x[12]="([\d.]+)"', strip_svg(low, middle, high, ends))
    assert len(places) == 4
    assert all(3.9 <= float(place) <= 96.1 for place in places)
