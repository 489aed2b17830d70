"""A child that answers in lines: no answer takes for ever, and none is taken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices import link
from devices.errors import DeviceError
from devices.link import Ending, Link

ECHO = "for line in sys.stdin: print(line, end='', flush=True)"


class ToldError(DeviceError):
    """Carries the ending that it was made of."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.doing)
        self.ending = ending


@pytest.fixture
def start() -> Iterator[Callable[[str], Link]]:
    """Starts links to a few lines of Python."""
    with ExitStack() as stack:

        def started(code: str) -> Link:
            made = Link([sys.executable, "-c", f"import os, sys, time\n{code}"], ToldError)
            stack.callback(made.close)
            return made

        yield started


def ending(child: Link, request: bytes = b"", *, seconds: float = 60) -> Ending:
    with pytest.raises(ToldError) as caught:
        child.ask(request, seconds=seconds, doing="sing")
    assert not child.is_open
    assert caught.value.ending.doing == "sing"
    return caught.value.ending


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_line_for_one_line(start: Callable[[str], Link]) -> None:
    child = start(ECHO)
    for text in (b"one\n", b"\n", b"x" * 300_000 + b"\n"):
        assert child.ask(text, seconds=60, doing="echo") == text


def test_lines_that_come_together_are_answers_one_after_the_other(
    start: Callable[[str], Link],
) -> None:
    child = start("print('one\\ntwo\\nthr', end='', flush=True); time.sleep(0.2); print('ee')")
    lines = [child.ask(b"", seconds=60, doing="speak") for _ in range(3)]
    assert lines == [b"one\n", b"two\n", b"three\n"]


def test_much_on_both_outputs_at_once_blocks_nothing(start: Callable[[str], Link]) -> None:
    child = start(
        "line = sys.stdin.readline()\n"
        "sys.stderr.write('e' * 1_000_000 + 'the end'); sys.stderr.flush()\n"
        "print(len(line), flush=True)"
    )
    request = b"x" * 1_000_000 + b"\n"
    assert child.ask(request, seconds=60, doing="count") == b"1000001\n"
    assert child.said.endswith("the end")
    assert len(child.said) < 10_000


def test_a_child_that_ends_is_an_ending_with_its_last_words(start: Callable[[str], Link]) -> None:
    end = ending(start("print('half', end=''); sys.stderr.write('out of wax'); sys.exit(7)"))
    assert (end.cause, end.status, end.said) == ("ended", 7, "out of wax")


def test_a_child_that_does_not_read_is_an_ending_too(start: Callable[[str], Link]) -> None:
    end = ending(start("os.close(0); os.close(1); sys.exit(3)"), b"x" * 1_000_000 + b"\n")
    assert (end.cause, end.status) == ("ended", 3)


@pytest.mark.parametrize("code", ["time.sleep(60)", "print('half', end='', flush=True)\n" + ECHO])
def test_an_answer_that_does_not_come_is_waited_for_until_the_deadline(
    code: str, start: Callable[[str], Link]
) -> None:
    child = start(code)
    end = ending(child, seconds=0.5)
    assert (end.cause, end.status) == ("timeout", None)
    assert end.seconds >= 0.5
    assert is_gone(child.pid)


def test_a_request_that_nobody_takes_is_waited_for_until_the_deadline(
    start: Callable[[str], Link],
) -> None:
    end = ending(start("time.sleep(60)"), b"x" * 5_000_000 + b"\n", seconds=0.5)
    assert end.cause == "timeout"


def test_a_line_without_an_end_is_an_ending(
    start: Callable[[str], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MAX_LINE_BYTES", 100_000)
    assert ending(start("while True: print('x' * 1000, end='')")).cause == "flood"


def test_after_an_ending_nothing_is_asked_any_more(start: Callable[[str], Link]) -> None:
    child = start("sys.exit(7)")
    ending(child)
    assert ending(child, b"again\n").cause == "closed"
    child.close()


def test_an_answer_that_came_too_late_is_never_taken_for_another(
    start: Callable[[str], Link],
) -> None:
    child = start("sys.stdin.readline(); time.sleep(2)\nprint('old', flush=True)\n" + ECHO)
    assert ending(child, b"first\n", seconds=0.5).cause == "timeout"
    assert ending(child, b"second\n").cause == "closed"


def test_ctrl_c_while_waiting_ends_the_child(start: Callable[[str], Link]) -> None:
    child = start("time.sleep(60)")
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        child.ask(b"", seconds=60, doing="sing")
    timer.join()
    assert not child.is_open
    assert is_gone(child.pid)


def test_the_child_is_not_in_reach_of_the_terminals_ctrl_c(start: Callable[[str], Link]) -> None:
    child = start(ECHO)
    assert os.getpgid(child.pid) != os.getpgid(0)


def test_closing_lets_the_child_end_by_itself(tmp_path: Path, start: Callable[[str], Link]) -> None:
    child = start(f"sys.stdin.read(); open({str(tmp_path / 'bye')!r}, 'w').close()")
    child.close()
    child.close()
    assert (tmp_path / "bye").exists()
    assert is_gone(child.pid)


def test_closing_ends_a_child_that_does_not_end(
    start: Callable[[str], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_ENDING_SECONDS", 0.2)
    child = start("time.sleep(60)")
    child.close()
    assert is_gone(child.pid)


def test_a_child_that_leaves_a_child_behind_does_not_hold_it_up(
    start: Callable[[str], Link],
) -> None:
    child = start(
        "import subprocess\n"
        "heir = subprocess.Popen(['sleep', '60'], stdin=subprocess.DEVNULL)\n"
        "print(heir.pid, flush=True)\n"
    )
    heir = int(child.ask(b"", seconds=60, doing="say who is left"))
    before = time.monotonic()
    child.close()
    try:
        assert time.monotonic() - before < 30
    finally:
        os.kill(heir, signal.SIGKILL)


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1])"
    trap = f"$(touch {tmp_path / 'trap'}); 'x"
    child = Link([sys.executable, "-c", code, trap], ToldError)
    assert child.ask(b"", seconds=60, doing="speak").decode() == f"{trap}\n"
    child.close()
    assert not (tmp_path / "trap").exists()


def test_when_this_process_is_killed_the_child_sees_the_end_of_its_input(tmp_path: Path) -> None:
    done = tmp_path / "done"
    inner = f"import sys; sys.stdin.read(); open({str(done)!r}, 'w').close()"
    outer = (
        "import os, signal, sys\n"
        "from devices.link import Link\n"
        f"Link([sys.executable, '-c', {inner!r}], print)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", outer], check=False)
    deadline = time.monotonic() + 30
    while not done.exists():
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)
