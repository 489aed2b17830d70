"""``benchmark_model``: true figures of the right delegate out of its log, or one typed error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.benchmark_model import Run, measuring_flags, parse_run, profiling_flags
from devices.errors import (
    InputError,
    LutierError,
    MeasurementError,
    UnknownNameError,
    UnparsableOutputError,
)

SAMPLES = Path(__file__).parent / "samples" / "benchmark_model"
CAPTURES = Path(__file__).parents[3] / "shared" / "adb_logs"
# Name of a sample, the delegate it was run with, timed inferences.
GOOD = (
    ("xnnpack", "xnnpack", 40),
    ("one_run", "none", 1),
    ("slow", "xnnpack", 4),
    ("year_2020", "xnnpack", 20),
    ("year_2018", "none", 10),
    ("all_same", "none", 30),
    ("litert", "xnnpack", 25),
    ("logcat", "gpu", 50),
    ("profile", "none", 10),
)
ANY_DELEGATE = st.sampled_from(("xnnpack", "gpu", "nnapi", "hexagon", "none"))
WORDS = (
    "INFO: ",
    "count=3 ",
    "count=1 curr=9",
    "first=1 curr=1 min=1 max=1 avg=1",
    "Running benchmark for at least 3 iterations",
    "Running benchmark for 1 iterations",
    "Inference timings in us: Init: 1, First inference: 1, Warmup (avg): 1, Inference (avg): ",
    "Average inference timings in us: Warmup: 1, Init: 1, no stats: ",
    "Inference (avg):      0.00 ms (3 runs)",
    "Replacing 4 out of 4 node(s) with delegate (TfLiteXNNPackDelegate)",
    "9" * 30,
    "1e999",
    "\n",
)
ANY_TEXT = st.text() | st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=24).map(
    "".join
)


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.txt").read_text()


def flags(delegate: str = "xnnpack", **changed: object) -> list[str]:
    values = {"threads": 2, "warmup": 6, "runs": 40, "max_seconds": 120.0} | changed
    return measuring_flags("/data/op.tflite", delegate=delegate, **values)  # type: ignore[arg-type]


# What is asked


def test_the_flags_ask_for_exactly_so_many_inferences() -> None:
    assert flags() == [
        "--graph=/data/op.tflite",
        "--num_threads=2",
        "--warmup_runs=6",
        "--warmup_min_secs=0",
        "--num_runs=40",
        "--min_secs=0",
        "--max_secs=120.0",
        "--use_xnnpack=true",
    ]


@pytest.mark.parametrize(
    ("delegate", "flag"),
    [
        ("gpu", "--use_gpu=true"),
        ("nnapi", "--use_nnapi=true"),
        ("hexagon", "--use_hexagon=true"),
        ("none", "--use_xnnpack=false"),
    ],
)
def test_each_delegate_has_its_flag(delegate: str, flag: str) -> None:
    assert flags(delegate)[-1] == flag


def test_the_program_of_litert_has_other_flags_for_delegates() -> None:
    assert flags(dialect="litert")[-1] == "--use_cpu=true"
    assert flags("gpu", dialect="litert")[-3:] == [
        "--use_cpu=false",
        "--use_gpu=true",
        "--require_full_delegation=true",
    ]
    with pytest.raises(InputError, match="LiteRT has no delegate nnapi"):
        flags("nnapi", dialect="litert")


def test_a_large_number_of_seconds_is_written_out() -> None:
    assert "--max_secs=1234567.5" in flags(max_seconds=1234567.5)


@pytest.mark.parametrize(
    "changed",
    [
        {"threads": 0},
        {"warmup": -1},
        {"runs": 0},
        {"max_seconds": 0.0},
        {"max_seconds": float("inf")},
        {"max_seconds": float("nan")},
    ],
)
def test_numbers_out_of_range_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(InputError):
        flags(**changed)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="xnnpack"):
        flags("xnnpak")
    with pytest.raises(UnknownNameError, match="tflite"):
        flags(dialect="tflit")
    with pytest.raises(UnknownNameError, match="hexagon"):
        parse_run(sample("xnnpack"), delegate="hexagn", status=0)


def test_a_model_without_a_path_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        measuring_flags(" ", threads=1, warmup=0, runs=1, delegate="none", max_seconds=1)


def test_a_profile_is_a_run_with_further_flags() -> None:
    values = {"threads": 2, "warmup": 6, "runs": 40, "delegate": "none", "max_seconds": 120.0}
    printed = profiling_flags("/data/op.tflite", **values)  # type: ignore[arg-type]
    written = profiling_flags("/data/op.tflite", csv_file="/data/p.csv", **values)  # type: ignore[arg-type]
    assert printed[: len(flags())] == flags("none")
    assert "--enable_op_profiling=true" in printed
    assert written == [*printed, "--profiling_output_csv_file=/data/p.csv"]


# What is answered


def test_a_run_is_read_from_its_timed_phase() -> None:
    run = parse_run(sample("xnnpack"), delegate="xnnpack", status=0, runs=40)
    assert run == Run(
        runs=40,
        warmup_runs=6,
        init_ms=8.125,
        first_ms=4.302,
        min_ms=4.251,
        max_ms=4.977,
        mean_ms=4.32165,
        median_ms=4.299,
        p5_ms=4.257,
        p95_ms=4.56,
        std_ms=0.104,
    )
    assert (run.statistic, run.figure_ms) == ("median", 4.299)


def test_a_single_run_is_all_of_its_figures() -> None:
    run = parse_run(sample("one_run"), delegate="none", status=0)
    assert run.min_ms == run.max_ms == run.mean_ms == run.median_ms == run.first_ms == 7654.321
    assert (run.runs, run.warmup_runs, run.std_ms) == (1, 0, None)


def test_runs_that_all_take_as_long_are_not_a_cut_line() -> None:
    run = parse_run(sample("all_same"), delegate="none", status=0)
    assert (run.runs, run.min_ms, run.max_ms, run.figure_ms) == (30, 0.012, 0.012, 0.012)


def test_seconds_are_printed_with_an_exponent() -> None:
    assert parse_run(sample("slow"), delegate="xnnpack", status=0).mean_ms == 5518.68


@pytest.mark.parametrize(
    ("name", "mean_ms", "init_ms"), [("year_2020", 28.4444, 21.75), ("year_2018", 88.1255, 1.625)]
)
def test_older_builds_give_the_mean(name: str, mean_ms: float, init_ms: float) -> None:
    delegate = "xnnpack" if name == "year_2020" else "none"
    run = parse_run(sample(name), delegate=delegate, status=0)
    assert (run.statistic, run.figure_ms, run.init_ms) == ("mean", mean_ms, init_ms)
    assert run.median_ms is run.p5_ms is run.p95_ms is None


def test_the_program_of_litert_is_read_too() -> None:
    run = parse_run(sample("litert"), delegate="xnnpack", status=0)
    assert (run.runs, run.figure_ms, run.init_ms) == (25, 0.699, 3.12)


def test_the_prefixes_of_logcat_are_taken_off() -> None:
    run = parse_run(sample("logcat"), delegate="gpu", status=0)
    assert (run.runs, run.warmup_runs, run.figure_ms) == (50, 5, 9.8431)


def test_lines_may_end_as_on_a_terminal() -> None:
    text = sample("xnnpack").replace("\n", "\r\n")
    assert parse_run(text, delegate="xnnpack", status=0).figure_ms == 4.299


def test_a_profile_behind_the_summary_does_not_change_the_run() -> None:
    assert parse_run(sample("profile"), delegate="none", status=0).figure_ms == 5.021


@pytest.mark.parametrize(("name", "delegate", "runs"), GOOD)
def test_the_runs_that_were_asked_for_are_the_runs_that_were_timed(
    name: str, delegate: str, runs: int
) -> None:
    assert parse_run(sample(name), delegate=delegate, status=0, runs=runs).runs == runs
    with pytest.raises(UnparsableOutputError, match=f"timed {runs} inferences, not {runs + 1}"):
        parse_run(sample(name), delegate=delegate, status=0, runs=runs + 1)


def test_a_run_that_was_stopped_early_is_no_run() -> None:
    text = sample("xnnpack").replace("at least 40 iterations", "at least 400 iterations")
    with pytest.raises(UnparsableOutputError, match="timed 40 inferences, not 400"):
        parse_run(text, delegate="xnnpack", status=0)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("count=40 first=4302", "count=0 first=4302", "timed no inference"),
        (" avg=4321.65 std=104", " avg=4321.6", "cut"),
        (" median=4299 p95=4560", " median=4299", "cut"),
        ("median=4299", "median=nan", "cut"),
        ("avg=4321.65 std", "avg=1e999 std", "cut"),
        ("max=4977", "max=4260", "contradict"),
        ("median=4299", "median=42990", "contradict"),
        ("min=4251", "min=-4251", "contradict"),
        ("first=4302 curr=4288", "curr=4288", "cut"),
        ("first=4302 curr=4288 min=4251 max=4977 avg=4321.65 std=104", "curr=4288", "cut"),
        ("us: Init: 8125", "us: Init: 1e999", "cut"),
        ("Inference (avg): 4321.65", "Inference (avg): 43", "cut"),
        ("INFO: Inference timings in us", "INFO: Timings", "cut"),
        ("Running benchmark for", "Walking benchmark for", "nothing was timed"),
    ],
)
def test_what_does_not_add_up_is_refused(old: str, new: str, problem: str) -> None:
    text = sample("xnnpack")
    assert old in text
    with pytest.raises(UnparsableOutputError, match=problem):
        parse_run(text.replace(old, new), delegate="xnnpack", status=0)


def test_two_runs_in_one_log_are_refused() -> None:
    with pytest.raises(UnparsableOutputError, match="more than one run"):
        parse_run(sample("xnnpack") * 2, delegate="xnnpack", status=0)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_silence_is_said_to_be_silence(text: str) -> None:
    with pytest.raises(UnparsableOutputError, match="it printed nothing"):
        parse_run(text, delegate="none", status=0)


def test_the_last_words_are_shown_and_can_be_shown() -> None:
    text = "early\n" + "".join(f"line {number} \x1b[31m\x07\n" for number in range(9)) + "x" * 999
    with pytest.raises(UnparsableOutputError) as caught:
        parse_run(text, delegate="none", status=0)
    shown = caught.value.why
    assert shown.isprintable()
    assert len(shown) < 500
    assert shown.endswith("x" * 300)
    assert "early" not in shown


def test_an_inference_below_a_microsecond_is_read_as_it_is_printed() -> None:
    text = sample("all_same").replace("=12(", "=0(").replace("Inference: 12", "Inference: 0")
    assert parse_run(text, delegate="none", status=0).figure_ms == 0


# What failed


def test_an_unknown_flag_is_named() -> None:
    text = "WARN: Unconsumed cmdline flags: --use_xnnpak=true --speed=9\n" + sample("xnnpack")
    with pytest.raises(MeasurementError, match="does not know --use_xnnpak, --speed:"):
        parse_run(text, delegate="xnnpack", status=0)


def test_a_failure_gives_the_errors_of_the_log() -> None:
    text = (
        "INFO: STARTING!\nERROR: Could not open 'a.tflite'.\nERROR: The model is empty\n"
        "ERROR: Failed to load model a.tflite\nERROR: Benchmarking failed.\n"
    )
    with pytest.raises(MeasurementError) as caught:
        parse_run(text, delegate="xnnpack", status=1)
    assert caught.value.why == "Could not open 'a.tflite'; Failed to load model a.tflite"


def test_a_failure_is_a_failure_whatever_was_printed() -> None:
    with pytest.raises(MeasurementError, match="exit status 137: killed by signal 9"):
        parse_run(sample("xnnpack"), delegate="xnnpack", status=137)


# Whatever is printed


@given(ANY_TEXT, ANY_DELEGATE, st.sampled_from((0, 0, 0, 1, 126, 139, -9)))
def test_any_text_is_a_run_or_a_typed_error(text: str, delegate: str, status: int) -> None:
    try:
        run = parse_run(text, delegate=delegate, status=status)
    except LutierError:
        return
    assert status == 0
    assert run.runs > 0
    assert 0 < run.figure_ms <= run.max_ms * 1.001


@given(st.sampled_from(GOOD), st.data())
def test_a_cut_output_gives_the_same_figures_or_none(
    good: tuple[str, str, int], data: st.DataObject
) -> None:
    name, delegate, runs = good
    whole = sample(name)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        run = parse_run(cut, delegate=delegate, status=0, runs=runs)
    except (UnparsableOutputError, MeasurementError):
        return
    assert run == parse_run(whole, delegate=delegate, status=0)


@given(st.sampled_from(GOOD), st.data())
def test_a_lost_line_gives_the_same_figures_or_none(
    good: tuple[str, str, int], data: st.DataObject
) -> None:
    name, delegate, runs = good
    lines = sample(name).splitlines()
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    try:
        run = parse_run("\n".join(lines), delegate=delegate, status=0, runs=runs)
    except (UnparsableOutputError, MeasurementError):
        return
    assert run == parse_run(sample(name), delegate=delegate, status=0)


# What the real program printed


def captured(name: str) -> tuple[str, int]:
    """A capture without its comments, and the exit status it ended with."""
    lines = (CAPTURES / name).read_text(errors="replace").split("\n")
    status = [line.split()[-1] for line in lines if line.startswith("# exit status")]
    return "\n".join(line for line in lines if not line.startswith("# ")), int(status[-1])


FIGURES = {
    "01_cpu_xnnpack_1thread.txt": (50, 82.873),
    "12_verbose_all_params.txt": (20, 705.949),
    "21_csv_run.txt": (3, 5920.698),
}
REFUSED = {
    "02_cpu_xnnpack_mbv2_prof.txt": ("xnnpack", UnparsableOutputError, "timed 3 inferences, not 5"),
    "03_cpu_builtin_prof.txt": ("none", UnparsableOutputError, "timed 8 inferences, not 5"),
    "04_cpu_quant_prof.txt": ("xnnpack", MeasurementError, "only 119 of 121 nodes"),
    "06_gpu_not_available.txt": ("gpu", MeasurementError, "Failed to apply GPU delegate"),
    "07_nnapi_not_available.txt": (
        "nnapi",
        MeasurementError,
        "fell back: NNAPI acceleration is unsupported on this platform",
    ),
    "09_missing_graph.txt": ("xnnpack", MeasurementError, "Could not open '/data/local/tmp/none"),
    "10_truncated_graph.txt": ("xnnpack", MeasurementError, "not a valid Flatbuffer"),
    "11_unknown_flag.txt": ("xnnpack", MeasurementError, "does not know --kernel_path:"),
    "15_external_delegate_missing.txt": (
        "xnnpack",
        MeasurementError,
        "crashed: segmentation fault",
    ),
    "16_dry_run.txt": ("xnnpack", UnparsableOutputError, "timed no inference"),
    "17_bad_num_threads.txt": ("xnnpack", MeasurementError, "num_threads should be >= 0"),
    "19_no_graph.txt": ("xnnpack", MeasurementError, "Please specify the name"),
}
OTHERS = {"30_adb_client_failures.txt"}


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no logs of real runs in {CAPTURES}")
def test_real_captures() -> None:
    names = {path.name for path in CAPTURES.glob("*.txt")}
    assert names == FIGURES.keys() | REFUSED.keys() | OTHERS
    for name, (runs, median_ms) in FIGURES.items():
        text, status = captured(name)
        run = parse_run(text, delegate="xnnpack", status=status, runs=runs)
        assert (run.statistic, run.figure_ms) == ("median", median_ms), name
    for name, (delegate, kind, problem) in REFUSED.items():
        text, status = captured(name)
        with pytest.raises(kind, match=problem):
            parse_run(text, delegate=delegate, status=status)
