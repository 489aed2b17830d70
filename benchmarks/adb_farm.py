"""Two phones at once, against one after the other: seconds, and whether each op was measured once.

The phones are simulated on loopback, and each start of a program on them takes some time more, in
which this machine is idle, as it is while a real phone works.

    python benchmarks/adb_farm.py --json adb_farm.json
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _reporting import finish, header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pytest
from loopback_faults import Fault
from loopback_phone import Phone
from phone_bench import PhoneBench, phone_bench

MOST = 0.6
PHONES = (Phone(), Phone(model="Galaxy S22", serial="R5CT1234567", soc_model="S5E9925"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile-tiny")
    parser.add_argument("--networks", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.15, help="that a program takes to start")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="once, a quick phone, no bound")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.seconds = 1, 0.0
    document = header("adb_farm", seed=0)
    ratios, once = [], True
    for repeat in range(arguments.repeats):
        patch = pytest.MonkeyPatch()
        with (
            tempfile.TemporaryDirectory() as name,
            phone_bench(Path(name) / "bench", *PHONES, monkeypatch=patch) as bench,
        ):
            for phone in bench.phones:
                phone.inject(Fault("slow", "taskset", times=10**9, seconds=arguments.seconds))
            one = [f"android:{phone.serial}" for phone in bench.phones]
            # In turn, so that neither way always comes first.
            order = [("after", one), ("at once", ["android:all"])]
            seconds = {}
            for way, devices in order if repeat % 2 == 0 else order[::-1]:
                file = Path(name) / f"{way}.db"
                seconds[way] = sum(profile(bench, file, each, arguments) for each in devices)
                once = once and is_complete(file)
        patch.undo()
        ratios.append(seconds["at once"] / seconds["after"])
        print(
            f"one after the other {seconds['after']:6.1f} s, at once {seconds['at once']:6.1f} s:"
            f" {ratios[-1]:.2f}"
        )
    ratio = statistics.median(ratios)
    met = ratio <= MOST and once
    print(f"\nmedian {ratio:.2f} of the time, at most {MOST}; each op once per phone: {once}")
    print("met" if met else "MISSED")
    finish({**document, "ratios": ratios, "each_once": once}, arguments.json)
    return 0 if met or arguments.quick else 1


def profile(bench: PhoneBench, file: Path, device: str, arguments: argparse.Namespace) -> float:
    """Seconds to profile the space on a device, from nothing, by the command line."""
    words: Sequence[str] = (
        *("profile", "--device", device, "--runtime", "litert", "--space", arguments.space),
        *("--networks", str(arguments.networks), "--time-limit", "0", "--db", f"sqlite:///{file}"),
    )
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "lutier", *words],
        env={**os.environ, **bench.adb.environment(), **bench.variables()},
        check=True,
        capture_output=True,
    )
    return time.monotonic() - start


def is_complete(file: Path) -> bool:
    """Whether every phone in a database has each op once, done."""
    connection = sqlite3.connect(file)
    rows = connection.execute("SELECT target, key, status FROM measurements").fetchall()
    connection.close()
    targets = {target for target, _, _ in rows}
    keys = {key for _, key, _ in rows}
    return len(rows) == len(targets) * len(keys) and all(row[2] == "done" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
