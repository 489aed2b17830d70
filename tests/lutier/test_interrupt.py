"""Ctrl-C: what was measured is stored, the exit code is 130, the same command goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "lutier", "profile", "--op", "linear/64/out=10", "--json"]


def visits(file: Path) -> int:
    """Number of visits stored so far; 0 while there is no table."""
    if not file.exists():
        return 0
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        (count,) = connection.execute("SELECT count(*) FROM visits").fetchone()
        return int(count)
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "lutier.db"
    long = {**os.environ, "LUTIER_DB": f"sqlite:///{file}", "LUTIER_MIN_SECONDS": "60"}
    process = subprocess.Popen(COMMAND, env=long, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while visits(file) < 5:
            if process.poll() is not None:
                pytest.fail(f"ended by itself: {process.stderr and process.stderr.read()!r}")
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"the same command goes on" in err
    assert b"Traceback" not in err
    kept = visits(file)
    assert kept >= 5
    process = subprocess.Popen(COMMAND, env=long, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while visits(file) <= kept:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()
    connection = sqlite3.connect(file)
    (measurements,) = connection.execute("SELECT count(*) FROM measurements").fetchone()
    connection.close()
    assert measurements == 1
