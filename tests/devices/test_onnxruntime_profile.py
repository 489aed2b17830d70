"""Profiles of onnxruntime: every node with its times, or one typed error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import LutierError, UnparsableOutputError
from devices.onnxruntime_profile import parse_node_profile, parse_node_times

CAPTURES = Path(__file__).parents[3] / "shared" / "adb_logs"


def event(
    category: str, name: str, start: int, duration: int, **arguments: object
) -> dict[str, Any]:
    fields = {"pid": 71, "tid": 71, "ph": "X", "ts": start, "dur": duration}
    return {"cat": category, "name": name, "args": arguments, **fields}


def node(name: str, op: str, start: int, duration: int, index: int) -> dict[str, Any]:
    arguments = {"op_name": op, "provider": "CPUExecutionProvider", "node_index": str(index)}
    return event("Node", f"{name}_kernel_time", start, duration, **arguments)


def run(start: int, *durations: int) -> list[dict[str, Any]]:
    """An inference of as many nodes as there are durations, in µs."""
    events, now = [], start + 5
    for index, duration in enumerate(durations):
        events.append(node(f"n{index}", "Conv" if index % 2 else "Gemm", now, duration, index))
        now += duration + 1
    return [*events, event("Session", "model_run", start, now - start)]


EVENTS = [
    event("Session", "model_loading_uri", 2, 400),
    event("Session", "session_initialization", 450, 1250),
    *run(2000, 110, 40),
    *run(2500, 60, 30),
    *run(3000, 55, 20),
]
TEXT = json.dumps(EVENTS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("cat", "name", "ts", "dur", "args", "op_name")), inner, max_size=6
        )
    ),
    max_leaves=12,
)


def test_a_node_has_a_time_for_each_inference() -> None:
    first, second = parse_node_times(TEXT)
    assert (first.name, first.op_type, first.provider) == ("n0", "Gemm", "CPUExecutionProvider")
    assert first.durations_ms == (0.11, 0.06, 0.055)
    assert second.durations_ms == (0.04, 0.03, 0.02)
    assert first.mean_ms == pytest.approx(0.075)


def test_inferences_and_the_start_have_times_too() -> None:
    profile = parse_node_profile(TEXT)
    assert profile.runs_ms == (0.157, 0.097, 0.082)
    assert profile.initialization_ms == 1.25


def test_a_node_in_a_loop_is_summed_up() -> None:
    looped = [node("body", "Add", 100, 7, 3), node("body", "Add", 110, 8, 3)]
    events = [*looped, event("Session", "model_run", 90, 40), *run(200, 9)]
    body, other = parse_node_times(json.dumps(events))
    assert body.durations_ms == (0.015, 0.0)
    assert other.durations_ms == (0.0, 0.009)


def test_nodes_without_names_are_told_apart_by_their_index() -> None:
    events = [node("", "Relu", 10, 4, 0), node("", "Relu", 20, 5, 1)]
    times = parse_node_times(json.dumps([*events, event("Session", "model_run", 8, 30)]))
    assert [each.durations_ms for each in times] == [(0.004,), (0.005,)]


def test_fences_and_kernels_of_a_gpu_are_no_nodes() -> None:
    others = [event("Node", "n0_fence_before", 2001, 1), event("Kernel", "sgemm", 2002, 50)]
    assert parse_node_times(json.dumps([*EVENTS, *others])) == parse_node_times(TEXT)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "printed nothing"),
        (TEXT[:-1], "cut, or no JSON"),
        ("[" * 100_000, "cut, or no JSON"),
        ('[{"ts": NaN}]', "NaN is not JSON"),
        ("{}", "no list of events"),
        ("[]", "no inference was profiled"),
        ("[3]", "no event"),
        (json.dumps(EVENTS[:2]), "no inference was profiled"),
        (json.dumps(EVENTS[:-1]), "outside of all inferences"),
        (json.dumps([event("Session", "model_run", 0, 9)]), "no inference was profiled"),
        (TEXT.replace('"dur": 110', '"dur": -110'), "no time in microseconds"),
        (TEXT.replace('"dur": 110', '"dur": "110"'), "no time in microseconds"),
        (TEXT.replace('"dur": 110', '"dur": 1e999'), "no time in microseconds"),
        (TEXT.replace('"dur": 110', '"dur": 99999'), "outside of all inferences"),
        (TEXT.replace('"ts": 2500', '"ts": 2100'), "overlap"),
        (TEXT.replace('"op_name": "Gemm", ', ""), "has no operator"),
    ],
)
def test_what_is_no_whole_profile_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UnparsableOutputError, match=problem):
        parse_node_profile(text)


@given(st.text() | JSON.map(json.dumps) | st.lists(JSON | st.sampled_from(EVENTS)).map(json.dumps))
def test_any_text_is_a_profile_or_a_typed_error(text: str) -> None:
    try:
        profile = parse_node_profile(text)
    except LutierError:
        return
    assert all(len(each.durations_ms) == len(profile.runs_ms) for each in profile.nodes)


@given(st.integers(0, len(TEXT) - 1))
def test_a_cut_profile_is_none(length: int) -> None:
    with pytest.raises(UnparsableOutputError):
        parse_node_profile(TEXT[:length])


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no profiles of real runs in {CAPTURES}")
def test_real_captures() -> None:
    expected = {
        "40_ort_profile_opt_all.json": (
            (0.291, 0.243, 0.128),
            7,
            "r1_nchwc",
            (0.111, 0.061, 0.027),
        ),
        "41_ort_profile_no_opt.json": ((0.463, 0.292), 8, "conv1", (0.204, 0.11)),
        "42_ort_profile_2threads.json": ((0.261, 0.157), 7, "r1_nchwc", (0.09, 0.035)),
    }
    assert {path.name for path in CAPTURES.glob("*.json")} == expected.keys()
    for name, (runs_ms, count, first, durations_ms) in expected.items():
        profile = parse_node_profile((CAPTURES / name).read_text())
        assert profile.runs_ms == runs_ms
        assert len(profile.nodes) == count
        assert (profile.nodes[0].name, profile.nodes[0].durations_ms) == (first, durations_ms)
