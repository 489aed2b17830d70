"""What is left of a profile when something goes wrong between here and the phone.

A simulated phone on loopback, reached by the real adb, profiles a few ops while one thing goes
wrong at a random point, a new one for each seed. A run is good where it ends with the rows of a run
that nothing disturbed, or stops with a clear error and the same command then completes it, and
where each stored figure is one that the program on the phone printed of that model.

    python benchmarks/adb_faults.py --seeds 20 --json adb_faults.json
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from _reporting import finish, header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pytest
from loopback_faults import Fault
from phone_bench import PhoneBench, phone_bench

from devices.android import AndroidDevice
from devices.errors import DeviceError
from devices.target import Target
from profiler.jobs import Job
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.run import profile
from profiler.storage.database import MeasurementStore

OPS = tuple(
    OpSpec.make("mbconv", (24, 14, 14), out=24, kernel=kernel, stride=1, expand=expand)
    for kernel, expand in ((3, 3), (3, 6), (5, 3), (5, 6))
)
PROTOCOL = Protocol(
    warmup_runs=1, timed_runs=3, min_rounds=3, max_rounds=3, target_error=1e-6, reference_every=4
)
RUNS = len(OPS) * PROTOCOL.min_rounds
PATIENCE_S = 20.0
DISTURBED_S = 0.4

RUN, MODEL, SHELL = "taskset", "models/", "shell"
"""What a fault strikes: a run of the program, a model that is sent, any command."""


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong.

    Attributes:
        name: in the table.
        fault: makes it, told after how many of what it strikes; ``None`` for the adb server.
        among: of how many it strikes one.
    """

    name: str
    fault: Callable[[int], Fault] | None
    among: int = RUNS


TROUBLES = (
    Trouble("nothing", lambda after: Fault("slow", RUN, after=after, seconds=0.0)),
    Trouble("unauthorized", lambda after: Fault("unauthorized", RUN, after, 1, DISTURBED_S)),
    Trouble("mute", lambda after: Fault("mute", RUN, after, 1, DISTURBED_S)),
    Trouble("offline", lambda after: Fault("offline", RUN, after, 1, DISTURBED_S)),
    Trouble("link dropped mid-shell", lambda after: Fault("drop-shell", RUN, after, 1, 0.02)),
    Trouble("link dropped mid-push", lambda after: Fault("drop-push", MODEL, after), len(OPS)),
    Trouble("refused open", lambda after: Fault("refuse-open", SHELL, after), RUNS),
    Trouble("adb server killed", None),
    Trouble("slow device", lambda after: Fault("slow", RUN, after, 3, DISTURBED_S)),
    Trouble("full disk", lambda after: Fault("full-disk", MODEL, after, 1), len(OPS)),
    Trouble("binary killed (137)", lambda after: Fault("killed", RUN, after, status=137)),
    Trouble("binary killed (139)", lambda after: Fault("killed", RUN, after, status=139)),
    Trouble("output cut", lambda after: Fault("cut", RUN, after)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how often each")
    parser.add_argument("--only", metavar="NAME", help="one kind of trouble")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="one seed each")
    arguments = parser.parse_args()
    seeds = 1 if arguments.quick else arguments.seeds
    # What is waited for, and run once more, is what is wanted here.
    logging.getLogger("devices").setLevel(logging.ERROR)
    document = header("adb_faults", seed=0)
    results: dict[str, Any] = {}
    print(f"{'':26s}  completed  stopped, then completed  wrong  seconds (median)")
    for trouble in TROUBLES:
        if arguments.only not in (None, trouble.name):
            continue
        found = [one(trouble, seed) for seed in range(seeds)]
        counts = Counter(outcome for outcome, _, _ in found)
        wrong = [why for outcome, why, _ in found if outcome == "wrong"]
        seconds = sorted(each for _, _, each in found)[seeds // 2]
        print(
            f"{trouble.name:26s}  {counts['completed']:9d}  {counts['stopped']:23d}"
            f"  {counts['wrong']:5d}  {seconds:7.1f}",
            flush=True,
        )
        for why in wrong:
            print(f"    {why}")
        results[trouble.name] = {**counts, "why": wrong, "seconds": seconds}
    bad = sum(result.get("wrong", 0) for result in results.values())
    print(f"\n{bad} runs went wrong: {'MISSED' if bad else 'met'}")
    finish({**document, "seeds": seeds, "results": results}, arguments.json)
    return 1 if bad else 0


def one(trouble: Trouble, seed: int) -> tuple[str, str, float]:
    """One profile with one trouble: how it ended, what was wrong, and how long it took."""
    start = time.monotonic()
    patch = pytest.MonkeyPatch()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with phone_bench(folder / "bench", monkeypatch=patch) as bench:
                inject(trouble, bench, random.Random(f"{trouble.name} {seed}"))
                url = f"sqlite:///{folder / 'lutier.db'}"
                outcome = "completed"
                try:
                    measure(bench, url, seed)
                except DeviceError as error:
                    outcome = "stopped"
                    if not (error.what and error.hint):
                        return "wrong", f"no clear error: {error}", time.monotonic() - start
                    bench.phone.faults.clear()
                    measure(bench, url, seed)
                why = wrong_with(bench, url)
                return "wrong" if why else outcome, why, time.monotonic() - start
    except DeviceError as error:
        return "wrong", f"the second command failed: {error}", time.monotonic() - start
    finally:
        patch.undo()


def inject(trouble: Trouble, bench: PhoneBench, generator: random.Random) -> None:
    """Have it go wrong at a random point."""
    after = generator.randrange(trouble.among)
    if trouble.fault is not None:
        bench.phone.inject(trouble.fault(after))
        return

    def kill() -> None:
        threading.Thread(target=bench.adb.run, args=("kill-server",)).start()

    def count(left: int) -> None:
        bench.phone.when(RUN, (lambda: count(left - 1)) if left else kill)

    count(after)


def measure(bench: PhoneBench, url: str, seed: int) -> None:
    """Profile the ops on the phone, as the command line does it."""
    target = Target.make(bench.device, "litert", {})
    with (
        AndroidDevice(
            bench.phone.serial, programs={"litert": bench.program}, patience_s=PATIENCE_S
        ) as device,
        MeasurementStore(url) as store,
    ):
        profile([Job.of_op(op) for op in OPS], device, target, store, PROTOCOL, seed=seed)


def wrong_with(bench: PhoneBench, url: str) -> str:
    """What differs from a run that nothing disturbed; empty where nothing does."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT key, status, visits, artifact_sha256, id FROM measurements")
        ).all()
        visits = connection.execute(
            sa.text("SELECT measurement_id, number, samples_ms FROM visits")
        ).all()
    engine.dispose()
    expected = sorted((op.key, "done", PROTOCOL.min_rounds) for op in OPS)
    found = sorted((row.key, row.status, row.visits) for row in rows)
    if found != expected:
        return f"other rows: {found}"
    printed: dict[str, set[float]] = {}
    for run in bench.server.runs:
        if run.status == 0:
            values = {value / 1e3 for name, value in run.stats.items() if name != "count"}
            printed.setdefault(run.graph_sha256, set()).update(values)
    digests = {row.id: row.artifact_sha256 for row in rows}
    numbers = sorted((visit.measurement_id, visit.number) for visit in visits)
    if numbers != sorted((row.id, n) for row in rows for n in range(PROTOCOL.min_rounds)):
        return f"other visits: {numbers}"
    for visit in visits:
        (sample,) = json.loads(visit.samples_ms)
        if sample not in printed[digests[visit.measurement_id]]:
            return f"{sample} ms was never printed of its model"
    return ""


if __name__ == "__main__":
    sys.exit(main())
