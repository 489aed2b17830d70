"""Processes: one that is certainly dead is told from all others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from profiler.processes import is_dead, this_process

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals: run it on Linux")
PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc: run on Linux")
SAY = "from profiler.processes import this_process; print(this_process(), flush=True)"


def started(then: str = "") -> tuple[subprocess.Popen[str], str]:
    """A process, and what it calls itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY + then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_this_one_lives() -> None:
    assert this_process() == this_process()
    assert not is_dead(this_process())


@POSIX
def test_one_that_lives_is_not_dead_and_one_that_ended_is() -> None:
    process, name = started("; input()")
    assert name != this_process()
    assert not is_dead(name)
    process.communicate("\n", timeout=30)
    assert is_dead(name)


@PROC
def test_one_that_was_killed_and_not_waited_for_is_dead() -> None:
    process, name = started("; input()")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(name)
    process.communicate(timeout=30)


@PROC
def test_another_process_with_the_same_number_is_another() -> None:
    place, number, start = this_process().split("/")
    assert is_dead(f"{place}/{number}/{int(start) + 1}")


@pytest.mark.parametrize("name", ["", "elsewhere/1/2", "elsewhere", "//", "a/b/c"])
def test_what_cannot_be_seen_from_here_is_not_dead(name: str) -> None:
    assert not is_dead(name)


@pytest.mark.parametrize("rest", ["", "/", "x/1", "-1/1", f"{10**30}/1"])
def test_a_name_that_makes_no_sense_is_not_dead(rest: str) -> None:
    place = this_process().partition("/")[0]
    assert not is_dead(f"{place}/{rest}")
