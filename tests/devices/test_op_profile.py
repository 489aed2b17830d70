"""Tables of operations: every row with its unit, or one typed error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import LutierError, MeasurementError, UnparsableOutputError
from devices.op_profile import OpTime, parse_profile, parse_profile_csv

SAMPLES = Path(__file__).parent / "samples" / "benchmark_model"
CAPTURES = Path(__file__).parents[3] / "shared" / "adb_logs"
GOOD = (
    ("profile", parse_profile),
    ("profile_2019", parse_profile),
    ("profile_csv", parse_profile_csv),
)
WORDS = (
    "=== Run Order ===\n",
    "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n",
    "\t[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n",
    "A (N, C), 1, 1, 1%, 1%, 0, 1, A\n",
    "\tA\t1\t1\t1%\t1%\t0\t1\tA\n",
    "Number of nodes executed: 1\n",
    "nan",
    "1e999",
    ",",
    "\t",
    "\n",
)
ANY_TEXT = st.text() | st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=12).map(
    "".join
)


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.txt").read_text()


def test_the_operations_of_the_inferences_are_read_not_those_of_the_start() -> None:
    assert parse_profile(sample("profile")) == (
        OpTime("CONV_2D", "[stem/Relu6;stem/Conv2D, 3x3]:0", 4.1, 4.05, 80.696, 0.0, 1),
        OpTime("DEPTHWISE_CONV_2D", "[block/depthwise]:1", 0.9, 0.875, 17.435, 0.0, 1),
        OpTime("SOFTMAX", "[Softmax]:2", 0.095, 0.094, 1.869, 2.5, 2),
    )


def test_older_builds_have_a_further_column() -> None:
    first, second = parse_profile(sample("profile_2019"))
    assert (first.start_ms, first.first_ms, first.avg_ms) == (0.0, 15.5, 15.25)
    assert (second.start_ms, second.node_type) == (15.25, "FULLY_CONNECTED")


def test_commas_in_types_and_names_are_no_columns() -> None:
    operations = parse_profile_csv(sample("profile_csv"))
    assert operations[0] == OpTime(
        "Convolution (NHWC, F32) IGEMM",
        "Delegate/Convolution (NHWC, F32) IGEMM:0",
        3.25,
        3.125,
        62.5,
        0.0,
        1,
    )
    assert operations[2].avg_ms == 1e-5
    assert len(operations) == 3


def test_the_unit_is_that_of_the_header() -> None:
    text = sample("profile").replace("[avg ms]", "[avg us]")
    assert parse_profile(text)[0].avg_ms == pytest.approx(4.05e-3)
    assert parse_profile(text)[0].first_ms == pytest.approx(4.1e-3)
    with pytest.raises(UnparsableOutputError, match="columns"):
        parse_profile(sample("profile").replace("[avg ms]", "[avg]"))


def test_logcat_puts_its_prefix_before_rows_too() -> None:
    prefix = "03-14 09:26:53.104 30211 30211 I tflite  : "
    text = "".join(
        f"{prefix}{line.removeprefix('INFO: ')}\n" for line in sample("profile").splitlines()
    )
    assert parse_profile(text) == parse_profile(sample("profile"))


def test_of_several_graphs_the_first_is_read() -> None:
    text = sample("profile") + sample("profile_2019")
    assert parse_profile(text) == parse_profile(sample("profile"))


def test_a_share_of_nothing_is_unknown() -> None:
    text = sample("profile").replace("  1.869%\t100", "   -nan%\t100")
    assert parse_profile(text)[2].percent is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("nodes executed: 3", "nodes executed: 4", "cut after 3 rows"),
        ("\t    0.900\t    0.875", "\t    0.900\t    0.8.75", "row 2"),
        ("\t    0.900\t    0.875", "\t    0.900\t      nan", "row 2"),
        ("\t    0.900\t    0.875", "\t    0.900\t   -0.875", "row 2"),
        ("\t        2\t[Softmax]", "\t      2.5\t[Softmax]", "row 3"),
        ("[mem KB]", "[mem GB]", "columns"),
        ("[times called]", "[%]", "columns"),
        (" Run Order ", " Walk Order ", "no times of operations"),
    ],
)
def test_what_does_not_add_up_is_refused(old: str, new: str, problem: str) -> None:
    assert old in sample("profile")
    with pytest.raises(UnparsableOutputError, match=problem):
        parse_profile(sample("profile").replace(old, new))


def test_lost_events_are_refused() -> None:
    text = "INFO: Warning: Dropping ProfileBuffer event.\n" + sample("profile")
    with pytest.raises(MeasurementError, match="lost a part"):
        parse_profile(text)


def test_a_run_without_a_profile_has_none() -> None:
    for parse in (parse_profile, parse_profile_csv):
        with pytest.raises(UnparsableOutputError, match="no times of operations"):
            parse(sample("xnnpack"))


@given(ANY_TEXT)
def test_any_text_is_a_table_or_a_typed_error(text: str) -> None:
    for parse in (parse_profile, parse_profile_csv):
        operations = ()
        with suppress(LutierError):
            operations = parse(text)
            assert operations
        assert all(operation.avg_ms >= 0 for operation in operations)


@given(st.sampled_from(GOOD), st.data())
def test_a_cut_table_gives_the_same_rows_or_none(
    good: tuple[str, Callable[[str], tuple[OpTime, ...]]], data: st.DataObject
) -> None:
    name, parse = good
    whole = sample(name)
    try:
        operations = parse(whole[: data.draw(st.integers(0, len(whole)))])
    except UnparsableOutputError:
        return
    assert operations == parse(whole)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no logs of real runs in {CAPTURES}")
def test_real_captures() -> None:
    printed = {
        "02_cpu_xnnpack_mbv2_prof.txt": (64, "Fully Connected (NC, F32) GEMM", 28.076),
        "03_cpu_builtin_prof.txt": (4, "CONV_2D", 28.773),
        "04_cpu_quant_prof.txt": (68, "SOFTMAX", 0.019),
    }
    for name, (count, node_type, avg_ms) in printed.items():
        operations = parse_profile((CAPTURES / name).read_text())
        assert len(operations) == count
        assert (operations[-1].node_type, operations[-1].avg_ms) == (node_type, avg_ms)
        assert sum(operation.percent or 0 for operation in operations) == pytest.approx(100, 0.01)
    operations = parse_profile_csv((CAPTURES / "22_op_profile_xnnpack.csv").read_text())
    assert len(operations) == 64
    assert operations[0].name == "Delegate/Convolution (NHWC, F32) IGEMM:0"
    assert sum(operation.avg_ms for operation in operations) == pytest.approx(5977.91, 1e-3)
