"""What tools print: lines without prefixes, last words, and why they failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.tool_output import Line, failed, log_lines, tail


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("INFO: STARTING!", Line("STARTING!", "INFO")),
        ("WARNING: late", Line("late", "WARN")),
        ("ERROR: gone.\r", Line("gone.", "ERROR")),
        ("STARTING!", Line("STARTING!")),
        ("03-14 09:26:53.104  3021  3022 I tflite  : count=1", Line("count=1", "INFO")),
        ("2023-04-04 17:24:18.480  3021  3022 W tflite  : hm", Line("hm", "WARN")),
        ("03-14 09:26:53.104 E/tflite  ( 3021): gone", Line("gone", "ERROR")),
        ("I/tflite  (30211): \tCONV_2D\t1", Line("\tCONV_2D\t1", "INFO")),
        (
            "2023-04-04 17:24:18.480 19036-19036 tflite      pid-19036       I  STARTING!",
            Line("STARTING!", "INFO"),
        ),
        ("INFO: [./litert/tools/x.h:88] Inference", Line("Inference", "INFO")),
        ("INFO: [name]:3 stays", Line("[name]:3 stays", "INFO")),
    ],
)
def test_a_line_loses_its_prefixes(raw: str, line: Line) -> None:
    assert log_lines(raw) == [line]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (137, "killed by signal 9 (out of memory?), after 'Loading'"),
        (-9, "killed by signal 9 (out of memory?), after 'Loading'"),
        (139, "crashed: segmentation fault, after 'Loading'"),
        (132, "crashed: illegal instruction, after 'Loading'"),
        (134, "crashed: aborted, after 'Loading'"),
        (143, "killed by signal 15, after 'Loading'"),
        (124, "it ran longer than it was given, after 'Loading'"),
        (126, "Loading"),
        (1, "Loading"),
        (255, "Loading"),
    ],
)
def test_an_exit_status_is_told_in_words(status: int, why: str) -> None:
    error = failed("a_tool", status, "Loading\nSegmentation fault\nBenchmarking failed.\n")
    assert (error.why, str(status) in error.what) == (why, True)


def test_a_tool_that_says_nothing_failed_all_the_same() -> None:
    assert failed("a_tool", 1, "").why == "it does not say why"
    assert failed("a_tool", 139, "\n").why == "crashed: segmentation fault"
    assert failed("a_tool", 127, "").why == "it cannot be run there"


def test_the_tail_is_the_last_five_lines() -> None:
    assert tail("".join(f"{number}\n\n" for number in range(9))) == "4 / 5 / 6 / 7 / 8"


@given(st.text(), st.integers(-64, 255))
def test_any_output_can_be_shown(text: str, status: int) -> None:
    assert tail(text).isprintable()
    assert len(tail(text)) <= 400
    assert failed("a_tool", status, text).why.isprintable()
    assert all("\n" not in line.text for line in log_lines(text))
