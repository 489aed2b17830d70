"""Ctrl-C waits for the end of a transaction, so that none is left open."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from profiler.storage.connection import Database
from profiler.storage.interrupts import held_back


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(times: int, steps: list[str]) -> None:
    with held_back():
        for _ in range(times):
            interrupt()
        steps.append("went on")


def write(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM workers"))


def test_an_interrupt_comes_at_the_end() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(1, steps)
    assert steps == ["went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_comes_at_once() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(2, steps)
    assert steps == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_leaves_the_handler_alone() -> None:
    seen = []

    def look() -> None:
        with held_back():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_no_transaction_is_left_open(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'lutier.db'}")
    generator = random.Random(0)
    interrupted = 0
    before = signal.signal(signal.SIGALRM, lambda *_: interrupt())
    try:
        for _ in range(2000):
            try:
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(1e-5, 4e-4))
                # One left open would keep the next waiting until that fails.
                write(database)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 100
    database.close()
