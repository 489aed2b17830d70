"""Profiling another machine through the command line, and a connection that is cut meanwhile."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshd_server import SshServer, command_line, descendants, kill, ssh_server

LUTIER = [sys.executable, "-m", "lutier"]
# Some tenths of a second a visit: time enough to be in the middle of it.
SLOW = "--op conv/64x56x56/out=64,kernel=3 --op conv/64x56x56/out=64,kernel=5 --batch 4"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture
def environment(sshd: SshServer, tmp_path: Path) -> dict[str, str]:
    """Variables of commands that measure little, into a database of their own."""
    db = f"sqlite:///{tmp_path / 'lutier.db'}"
    return {**os.environ, **sshd.environment(), "LUTIER_DB": db, "LUTIER_MIN_SECONDS": "0"}


def lutier(words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LUTIER, *words.split()], env=environment, capture_output=True, text=True, check=False
    )


def lutier_json(words: str, environment: dict[str, str]) -> dict[str, Any]:
    done = lutier(f"{words} --json", environment)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    """What the database holds, nothing while there is no table."""
    if not file.exists():
        return []
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def test_the_table_of_another_machine(environment: dict[str, str]) -> None:
    words = "profile --device ssh:far --space mobile-tiny --networks 2 --max-rounds 12"
    report = lutier_json(words, environment)
    assert report["target"] == "ssh:far/onnxruntime?threads=1"
    assert (report["measured"], report["failed"]) == (report["planned"], 0)
    assert report["table_networks"] == 2
    here = lutier_json(words.replace("ssh:far", "cpu") + " --time-limit 0", environment)
    assert report["environment"] == here["environment"]
    assert (here["stored_before"], here["table_ops"]) == (0, report["table_ops"])
    again = lutier_json(words, environment)
    assert (again["measured"], again["stored_before"]) == (0, report["planned"])


@pytest.mark.parametrize(
    "victim",
    [
        "ssh",
        pytest.param("sshd", marks=pytest.mark.slow),
        pytest.param("worker", marks=pytest.mark.slow),
    ],
)
def test_after_a_cut_the_same_command_goes_on(
    victim: str, sshd: SshServer, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "lutier.db"
    words = f"profile --device ssh:far {SLOW} --max-rounds 12".split()
    process = subprocess.Popen(
        [*LUTIER, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        while len(rows(file, "SELECT * FROM visits")) < 3:
            if process.poll() is not None:
                pytest.fail(f"ended by itself: {process.stderr and process.stderr.read()!r}")
            time.sleep(0.02)
        kill(find(victim, sshd, process.pid))
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 4, err
    lines = [line for line in err.decode().splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "ssh:far went away while it was to time conv/" in lines[0]
    assert "the same command again" in lines[0]
    assert b"Traceback" not in err
    kept = rows(file, "SELECT * FROM visits")
    assert 3 <= len(kept) < 24
    report = lutier_json(" ".join(words), environment)
    assert (report["planned"], report["measured"], report["failed"]) == (2, 2, 0)
    visits = rows(file, "SELECT * FROM visits")
    assert set(kept) < set(visits)
    assert len(visits) == 24
    assert rows(file, "SELECT count(*) FROM measurements") == [(2,)]


def find(victim: str, sshd: SshServer, lutier_pid: int) -> int:
    """The process that is to be killed."""
    below = {"ssh": lutier_pid}.get(victim, sshd.pid)
    word = {"ssh": "ssh -T", "sshd": "sshd", "worker": "devices.worker"}[victim]
    return next(pid for pid in descendants(below) if word in command_line(pid))


def test_a_machine_that_cannot_be_reached_is_exit_code_4(environment: dict[str, str]) -> None:
    environment["LUTIER_SSH_PYTHON"] = "/no/such/python"
    done = lutier("profile --device ssh:far --space mobile-tiny", environment)
    assert done.returncode == 4
    assert done.stderr.startswith("error: ssh:far has no /no/such/python that can be run")
    assert len(done.stderr.splitlines()) == 1


def test_it_is_listed_and_nobody_connects(environment: dict[str, str], tmp_path: Path) -> None:
    trap = tmp_path / "ssh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    trap.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    assert "ssh:HOST" in lutier("devices", environment).stdout
    assert "ssh" in lutier_json("devices", environment)["kinds"]
    assert str(trap) in lutier("doctor", environment).stdout
    for words in ("--help", "profile --help"):
        assert lutier(words, environment).returncode == 0
    assert not (tmp_path / "started").exists()
    assert lutier("profile --device ssh:far --space mobile-tiny", environment).returncode == 4
    assert (tmp_path / "started").exists()
