"""Killed at any moment, profiling loses nothing that was stored, doubles nothing, and goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.storage.database import MeasurementStore

SCRIPT = Path(__file__).with_name("profiling_server.py")
KILLS = 20
KEYS = 4
VISITS = 60

Visits = dict[str, list[tuple[int, str, str]]]
"""Number, samples and time of every stored visit, by key."""


class Server:
    """Child processes that profile, one after the other."""

    def __init__(self, folder: Path) -> None:
        # Model files of killed children stay behind: in the test's own folder.
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the server died"
        return line.strip()

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def start(self, path: Path) -> int:
        """Begin to profile into a store; the number of the child."""
        self.said: list[str] = []
        self._write(f"sqlite:///{path}")
        while not (line := self._read()).startswith("pid "):
            self.said.append(line)
        return int(line.split()[1])

    def wait_for_a_visit(self) -> None:
        """Return when the child has said that a visit is stored, or that it has ended."""
        while not self.said:
            self.said.append(self._read())

    def end(self) -> int:
        """Wait for the child; its exit status (-9: killed). What it said is in ``said``."""
        self._write("")
        while not (line := self._read()).startswith("status "):
            self.said.append(line)
        return int(line.split()[1])

    def close(self) -> None:
        self._process.communicate("\n", timeout=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork: run it on Linux or macOS")
    server = Server(tmp_path / "temporary")
    yield server
    server.close()


def stored(path: Path) -> Visits:
    """What a killed process has left, read from a copy: the next one meets it as it was."""
    if not path.exists():
        return {}
    copy = path.parent / "copy" / path.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    copy.parent.mkdir()
    for suffix in ("", "-wal", "-journal"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    MeasurementStore(f"sqlite:///{copy}").close()
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    keys = [key for (key,) in connection.execute("SELECT key FROM measurements ORDER BY id")]
    assert len(set(keys)) == len(keys)
    rows = connection.execute(
        "SELECT key, number, samples_ms, measured_at FROM visits "
        "JOIN measurements ON id = measurement_id ORDER BY number"
    )
    visits: Visits = {key: [] for key in keys}
    for key, number, samples, measured_at in rows:
        visits[key].append((number, samples, measured_at))
    connection.close()
    return visits


def count(visits: Visits) -> int:
    return sum(map(len, visits.values()))


def check(before: Visits, now: Visits, said: list[str]) -> None:
    """Nothing lost, nothing doubled, and all that the child said was stored is there."""
    for key, visits in now.items():
        assert [number for number, _, _ in visits] == list(range(len(visits)))
        assert visits[: len(before.get(key, []))] == before.get(key, [])
    assert before.keys() <= now.keys()
    told = [line.split()[1:] for line in said if line.startswith("visit ")]
    assert all(int(number) < len(now[key]) for key, number in told)
    # A visit may have been stored and not yet said.
    assert count(now) - count(before) - len(told) in (0, 1)


def finished(path: Path, visits: Visits, server: Server) -> None:
    """All is measured, in as many visits as asked for, and one more run measures nothing."""
    assert [len(each) for each in visits.values()] == [VISITS] * KEYS
    server.start(path)
    assert (server.end(), server.said) == (0, [f"end 0 {KEYS}"])
    assert stored(path) == visits


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path, server: Server) -> None:
    # How long a child lives on this machine, undisturbed.
    start = time.monotonic()
    server.start(tmp_path / "undisturbed.db")
    server.wait_for_a_visit()
    first_visit = time.monotonic()
    assert server.end() == 0
    starting_s, visiting_s = first_visit - start, time.monotonic() - first_visit
    finished(tmp_path / "undisturbed.db", stored(tmp_path / "undisturbed.db"), server)

    rng = random.Random(0)
    kills = stores = 0
    path, before = tmp_path / "store0.db", Visits()
    while kills < KILLS:
        pid = server.start(path)
        # Every other one while the schema is made and models are loaded, the others while visits
        # are stored.
        if kills % 2:
            server.wait_for_a_visit()
        time.sleep(rng.uniform(0, visiting_s if kills % 2 else starting_s))
        # Not waited for yet, so the number is still this child's.
        os.kill(pid, signal.SIGKILL)
        status, now = server.end(), stored(path)
        check(before, now, server.said)
        before = now
        if status == 0:
            finished(path, now, server)
            stores += 1
            path, before = tmp_path / f"store{stores}.db", {}
        else:
            assert status == -signal.SIGKILL
            kills += 1

    server.start(path)
    assert server.end() == 0
    now = stored(path)
    check(before, now, server.said)
    finished(path, now, server)
