"""Profiles one list of ops in several child processes at once, for ``test_several_processes.py``.

Importing torch takes far longer than profiling does, so it is imported once and children are
forked. They answer from a recording, at a thousandth of a second a run.

First ``ready`` is written. For every line ``URL SECONDS STOP`` that is read a child is forked that
profiles into that store, with claims that expire after so long, and ``pid N`` is written. After
``STOP`` visits, if that is not 0, it writes ``stopped PID`` and stands still until it is sent
SIGCONT. A child writes ``visit PID KEY NUMBER`` once a visit is stored, ``waiting PID COUNT`` while
others hold the rest, and at last ``end PID MEASURED ELSEWHERE`` with keys joined by commas. After
an empty line all children are waited for, ``status PID N`` is written for each, then ``over``.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from devices.artifact import Artifact
from devices.base import LoadedModel
from devices.environment import Environment
from devices.replay import ReplayDevice, write_recording
from devices.target import Target
from profiler.events import Event, Visited, Waiting
from profiler.jobs import Job
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.run import profile
from profiler.storage.claims import ClaimBook
from profiler.storage.database import MeasurementStore

KEYS = tuple(f"linear/{width}/out=3" for width in range(2, 42))
VISITS = 12
PROTOCOL = Protocol(warmup_runs=0, timed_runs=2, min_rounds=VISITS, max_rounds=VISITS)
ENVIRONMENT = Environment.of({"chip": "recorded"})
RUN_S = 0.001


def say(text: str) -> None:
    """Write a line at once: what a killed process has said is not lost."""
    os.write(1, f"{text}\n".encode())


class Teller:
    """Tells what happens, and stands still after so many visits."""

    def __init__(self, stop: int) -> None:
        self._left = stop
        self._signs = threading.Lock()
        self._renew = ClaimBook.renew
        ClaimBook.renew = lambda book: self.renew(book)  # type: ignore[method-assign]

    def renew(self, book: ClaimBook) -> None:
        with self._signs:
            self._renew(book)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Waiting):
            say(f"waiting {os.getpid()} {event.count}")
        if not isinstance(event, Visited):
            return
        say(f"visit {os.getpid()} {event.key} {event.number}")
        self._left -= 1
        if self._left == 0:
            # Not half way through a transaction of the other thread: its locks would stay.
            with self._signs:
                say(f"stopped {os.getpid()}")
                os.kill(os.getpid(), signal.SIGSTOP)


class SlowModel:
    """A recorded model that takes its time."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        time.sleep(RUN_S * (warmup + runs))
        return self._model.time_ms(warmup=warmup, runs=runs)

    def close(self) -> None:
        self._model.close()


class SlowDevice(ReplayDevice):
    """A recording of models that take their time."""

    def load(self, artifact: Artifact, target: Target) -> LoadedModel:
        return SlowModel(super().load(artifact, target))


def target_of(recording: Path) -> Target:
    return Target.make(f"replay:{recording}", "onnxruntime", {})


def work(url: str, seconds: float, stop: int, recording: Path) -> None:
    jobs = [Job.of_op(OpSpec.parse(key)) for key in KEYS]
    target = target_of(recording)
    teller = Teller(stop)
    with MeasurementStore(url) as store, SlowDevice(str(recording)) as device:
        result = profile(
            jobs, device, target, store, PROTOCOL, on_event=teller, claim_seconds=seconds
        )
    assert not result.failed
    say(f"end {os.getpid()} {','.join(result.measured)} {','.join(result.elsewhere)}")


def serve(folder: Path) -> None:
    recording = folder / "recording.json"
    recorded = {key: [1.0 + i / 100] for i, key in enumerate(KEYS)}
    write_recording(recording, target_of(recording), ENVIRONMENT, recorded)
    # The first model file is slow to write.
    work("sqlite://", 60, 0, recording)
    gc.freeze()
    say("ready")
    children: list[int] = []
    for line in sys.stdin:
        if not line.strip():
            for child in children:
                say(f"status {child} {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
            say("over")
            children.clear()
            continue
        url, seconds, stop = line.split()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(url, float(seconds), int(stop), recording)
                status = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(status)
        children.append(pid)
        say(f"pid {pid}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        serve(Path(name))
