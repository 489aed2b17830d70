"""``onnxruntime_perf_test``: true figures out of what it prints, or one typed error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, LutierError, MeasurementError, UnparsableOutputError
from devices.perf_test import PerfTestRun, measuring_flags, parse_run

OUTPUT = """\
Setting intra_op_num_threads to 2
Setting inter_op_num_threads to 1
Session creation time cost: 0.0213125 s
First inference time cost: 3 ms
Total inference time cost: 0.12341 s
Total inference requests: 50
Average inference time cost: 2.4682 ms
Total inference run time: 0.123502 s
Number of inferences per second: 404.852
Avg CPU usage: 45 %
Peak working set size: 31457280 bytes
Avg CPU usage:45
Peak working set size:31457280
Runs:50
Min Latency: 0.00231 s
Max Latency: 0.00412 s
P50 Latency: 0.00243 s
P90 Latency: 0.00262 s
P95 Latency: 0.0028 s
P99 Latency: 0.00412 s
P999 Latency: 0.00412 s
"""
RUN = PerfTestRun(
    runs=50,
    session_ms=21.3125,
    first_ms=3.0,
    min_ms=2.31,
    max_ms=4.12,
    mean_ms=2.4682,
    median_ms=2.43,
    p90_ms=2.62,
    p95_ms=2.8,
    p99_ms=4.12,
    p999_ms=4.12,
    cpu_percent=45.0,
)
WORDS = (*(f"{line}\n" for line in OUTPUT.splitlines()), "9" * 30, "1e999 s", ": ", "\n")


def close(run: PerfTestRun) -> bool:
    """Whether a run is :data:`RUN`, but for how seconds become milliseconds."""
    return all(
        getattr(run, name) == pytest.approx(getattr(RUN, name)) for name in RUN.__dataclass_fields__
    )


def test_the_flags_ask_for_exactly_so_many_inferences() -> None:
    assert measuring_flags("/data/op.onnx", threads=2, runs=50) == (
        ["-e", "cpu", "-m", "times", "-r", "50", "-x", "2", "-y", "1", "-I", "-s", "/data/op.onnx"]
    )


@pytest.mark.parametrize(
    ("model", "threads", "runs"), [("a", 0, 1), ("a", 1, 0), ("-a", 1, 1), ("", 1, 1)]
)
def test_what_cannot_be_asked_is_refused(model: str, threads: int, runs: int) -> None:
    with pytest.raises(InputError):
        measuring_flags(model, threads=threads, runs=runs)


def test_a_run_is_read_in_milliseconds() -> None:
    run = parse_run(OUTPUT, runs=50, status=0)
    assert close(run)
    assert (run.statistic, run.figure_ms) == ("median", run.median_ms)


def test_newer_builds_name_the_mean_otherwise() -> None:
    text = OUTPUT.replace("time cost: 2.4682 ms", "time cost total: 2.468200 ms")
    assert close(parse_run(text, runs=50, status=0))


def test_older_builds_write_no_space() -> None:
    text = OUTPUT.replace("cost: ", "cost:").replace("requests: ", "requests:")
    assert close(parse_run(text, runs=50, status=0))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("requests: 50", "requests: 49", "timed 49 inferences, not 50"),
        ("P50 Latency: 0.00243 s", "P50 Latency: 0.002", "does not say 'P50 Latency'"),
        ("P50 Latency: 0.00243 s", "P50 Latency: 0.00243 ms", "does not say 'P50 Latency'"),
        ("P50 Latency: 0.00243", "P50 Latency: 0.0243", "contradict"),
        ("Min Latency: 0.00231", "Min Latency: 0", "contradict"),
        ("cost: 2.4682 ms", "cost: 24.682 ms", "contradict"),
        ("P95 Latency: 0.0028", "P95 Latency: 1e999", "contradict"),
        ("Runs:50", "Total inference requests: 51", "twice"),
    ],
)
def test_what_does_not_add_up_is_refused(old: str, new: str, problem: str) -> None:
    assert old in OUTPUT
    with pytest.raises(UnparsableOutputError, match=problem):
        parse_run(OUTPUT.replace(old, new), runs=50, status=0)


def test_a_failure_gives_the_last_words() -> None:
    with pytest.raises(MeasurementError, match="exit status 255: Load model from a failed"):
        parse_run("Load model from a failed: no such file\n", runs=50, status=255)


@given(st.text() | st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=30).map("".join))
def test_any_text_is_a_run_or_a_typed_error(text: str) -> None:
    try:
        run = parse_run(text, runs=50, status=0)
    except LutierError:
        return
    assert 0 < run.min_ms <= run.figure_ms * 1.001


@given(st.integers(0, len(OUTPUT)))
def test_a_cut_output_gives_the_same_figures_or_none(length: int) -> None:
    try:
        run = parse_run(OUTPUT[:length], runs=50, status=0)
    except UnparsableOutputError:
        return
    assert close(run)
