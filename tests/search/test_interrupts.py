from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from search.interrupts import Interrupts


@pytest.fixture
def told() -> Iterator[list[int]]:
    """Signal numbers that a handler of SIGTERM was told."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_a_signal_is_held_back_until_the_end(told: list[int]) -> None:
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.caught == signal.SIGTERM
        assert told == []
    assert told == [signal.SIGTERM]


def test_ctrl_c_is_raised_when_it_is_delivered() -> None:
    reached = []

    def work() -> None:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("held back")
            interrupts.deliver()
            reached.append("not delivered")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["held back"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_is_not_held_back(told: list[int]) -> None:
    with Interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert told == [signal.SIGTERM]
    assert told == [signal.SIGTERM]


def test_nothing_is_held_where_nothing_is_asked(told: list[int]) -> None:
    with Interrupts(hold=False):
        os.kill(os.getpid(), signal.SIGTERM)
        assert told == [signal.SIGTERM]


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupts.caught is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_leaves_handlers_alone() -> None:
    handlers = []

    def work() -> None:
        with Interrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
