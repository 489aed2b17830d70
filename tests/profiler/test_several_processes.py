"""Several processes profile into one store: each op is measured once, and none is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from profiler.claims import CLAIM_SECONDS, MIN_BATCH

SCRIPT = Path(__file__).with_name("sharing_server.py")
KEYS = {f"linear/{width}/out=3" for width in range(2, 42)}
VISITS = 12
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="needs os.fork: run it on Linux or macOS"
)


class Workshop:
    """Processes that profile the same ops at once, and what they have said."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        self.said: list[list[str]] = []
        self.listen_until("ready")
        self.said.clear()

    def _read(self) -> list[str]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the server died"
        self.said.append(line.rstrip("\n").split(" "))
        return self.said[-1]

    def listen_until(self, word: str, pid: str = "", times: int = 1) -> list[str]:
        """Read until a kind of line has come so often; the last one."""
        while True:
            line = self._read()
            if line[0] == word and (not pid or line[1] == pid):
                times -= 1
                if not times:
                    return line

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def start(self, url: str, seconds: float = CLAIM_SECONDS, *, stop: int = 0) -> str:
        """Begin to profile in one process more, which may stop after some visits; its number."""
        self._write(f"{url} {seconds} {stop}")
        return self.listen_until("pid")[1]

    def end(self) -> dict[str, int]:
        """Wait for all of them; exit status by number (-9: killed)."""
        self._write("")
        self.listen_until("over")
        return {line[1]: int(line[2]) for line in self.said if line[0] == "status"}

    def told(self, kind: str) -> list[list[str]]:
        """What follows a word, of every line that began with it."""
        return [line[1:] for line in self.said if line[0] == kind]

    def measured(self) -> Counter[str]:
        """How many processes said of each key that they have measured it."""
        return Counter(key for end in self.told("end") for key in end[1].split(",") if key)

    def close(self) -> None:
        self._process.communicate("\n", timeout=60)


@pytest.fixture(scope="module")
def opened_workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    # Model files of killed children stay behind: in the tests' own folder.
    workshop = Workshop(tmp_path_factory.mktemp("several") / "temporary")
    yield workshop
    workshop.close()


@pytest.fixture
def workshop(opened_workshop: Workshop) -> Workshop:
    opened_workshop.said.clear()
    return opened_workshop


def check_store(url: str) -> None:
    """Every op is there, finished, in as many visits as asked for, each visit once."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        statuses = connection.execute(sa.text("SELECT key, status FROM measurements")).all()
        visits = connection.execute(
            sa.text(
                "SELECT key, number FROM visits JOIN measurements ON id = measurement_id"
                " ORDER BY key, number"
            )
        ).all()
        left = [
            connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))  # noqa: S608
            for table in ("claims", "workers")
        ]
    engine.dispose()
    assert sorted(map(tuple, statuses)) == sorted((key, "done") for key in KEYS)
    assert [tuple(row) for row in visits] == [
        (key, number) for key in sorted(KEYS) for number in range(VISITS)
    ]
    assert left == [0, 0]


def check_once(workshop: Workshop) -> None:
    """No visit was made, and no op finished, by two."""
    visits = Counter((key, number) for _, key, number in workshop.told("visit"))
    assert set(visits.values()) == {1}
    assert set(workshop.measured().values()) == {1}


def test_two_processes_share_a_store(workshop: Workshop, store_url: str) -> None:
    pids = [workshop.start(store_url) for _ in range(2)]
    assert workshop.end() == dict.fromkeys(pids, 0)
    check_store(store_url)
    check_once(workshop)
    assert set(workshop.measured()) == KEYS
    for _, mine, others in workshop.told("end"):
        assert {*mine.split(","), *others.split(",")} - {""} == KEYS


@pytest.mark.parametrize("seed", range(3))
def test_four_processes_one_of_them_killed(workshop: Workshop, store_url: str, seed: int) -> None:
    pids = [workshop.start(store_url) for _ in range(4)]
    visits = random.Random(seed).randrange(1, len(KEYS) * VISITS // 2)
    victim = workshop.listen_until("visit", times=visits)[1]
    os.kill(int(victim), signal.SIGKILL)
    statuses = workshop.end()
    assert statuses.pop(victim) == -signal.SIGKILL
    assert statuses == dict.fromkeys(set(pids) - {victim}, 0)
    check_store(store_url)
    check_once(workshop)


def test_all_killed_and_begun_again(workshop: Workshop, store_url: str) -> None:
    rng = random.Random(0)
    for _ in range(3):
        pids = [workshop.start(store_url) for _ in range(3)]
        workshop.listen_until("visit", times=rng.randrange(1, 60))
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        workshop.end()
    # Nobody waits for a minute: all see that these are no more.
    start = time.monotonic()
    workshop.start(store_url)
    workshop.end()
    assert time.monotonic() - start < CLAIM_SECONDS
    check_store(store_url)


def test_a_process_that_stood_still_too_long_is_taken_over(
    workshop: Workshop, store_url: str
) -> None:
    sleeper = workshop.start(store_url, 1.0, stop=len(KEYS) + 5)
    workshop.listen_until("stopped")
    try:
        # The sleeper lives and holds everything: the other waits until that expires.
        other = workshop.start(store_url, 1.0)
        workshop.listen_until("end", other)
    finally:
        os.kill(int(sleeper), signal.SIGCONT)
    assert workshop.end() == {sleeper: 0, other: 0}
    assert [pid for pid, _ in workshop.told("waiting")] == [other]
    check_store(store_url)
    assert dict(workshop.measured()) == dict.fromkeys(KEYS, 1)
    assert [mine for pid, mine, _ in workshop.told("end") if pid == sleeper] == [""]


def test_who_comes_late_is_handed_a_part(workshop: Workshop, store_url: str) -> None:
    first = workshop.start(store_url, stop=len(KEYS))
    workshop.listen_until("stopped")
    try:
        late = workshop.start(store_url)
        assert workshop.listen_until("waiting", late)[2] == str(len(KEYS))
    finally:
        os.kill(int(first), signal.SIGCONT)
    assert workshop.end() == {first: 0, late: 0}
    check_store(store_url)
    check_once(workshop)
    measured = {pid: len(mine.split(",")) for pid, mine, _ in workshop.told("end")}
    assert min(measured.values()) >= MIN_BATCH
