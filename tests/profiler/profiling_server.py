"""Profiles a few tiny ops in child processes that may be killed, for ``test_kill.py``.

Importing torch takes far longer than profiling does, so it is imported once, and everything that
is slow the first time is done once: a child is forked for every database URL that is read, and
dies or ends alone.

First ``ready`` is written, then for every URL one line ``pid N``. The child writes
``visit KEY NUMBER`` once a visit is stored, and ``end MEASURED STORED_BEFORE`` when all is done.
After the next line that is read the child is waited for and ``status N`` is written.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback

from devices.host import HostDevice
from devices.target import Target
from profiler.events import Event, Listener, Visited, ignore
from profiler.jobs import Job
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.run import ProfileResult, profile
from profiler.storage.database import MeasurementStore

KEYS = ("linear/4/out=3", "linear/5/out=3", "global_avg_pool/4x2x2/", "max_pool/2x4x4/kernel=3")
TARGET = Target.make("cpu", "onnxruntime", {})
PROTOCOL = Protocol(warmup_runs=0, timed_runs=2, min_rounds=60, max_rounds=60)


def say(text: str) -> None:
    """Write a line at once: what a killed process has said is not lost."""
    os.write(1, f"{text}\n".encode())


def tell(event: Event) -> None:
    if isinstance(event, Visited):
        say(f"visit {event.key} {event.number}")


def work(url: str, on_event: Listener = tell) -> ProfileResult:
    jobs = [Job.of_op(OpSpec.parse(key)) for key in KEYS]
    with MeasurementStore(url) as store, HostDevice() as device:
        result = profile(jobs, device, TARGET, store, PROTOCOL, on_event=on_event)
    assert not result.failed
    return result


def serve() -> None:
    work("sqlite://", ignore)
    # A collection in a child would touch, and so copy, every object of the server.
    gc.freeze()
    say("ready")
    while url := sys.stdin.readline().strip():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                result = work(url)
                say(f"end {len(result.measured)} {result.stored_before}")
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                os._exit(status)
        say(f"pid {pid}")
        sys.stdin.readline()
        say(f"status {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


if __name__ == "__main__":
    serve()
