"""Health: what else happened on a machine while something was measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

_STAT = Path("/proc/stat")
_THROTTLE = "/sys/devices/system/cpu"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Disturbance:
    """What else happened on a machine during some time.

    Attributes:
        seconds: how long.
        other_cores: cores that other programs kept busy, on the average; what a hypervisor gave to
            other guests counts too.
        throttle_events: times the processor lowered its clock because it was too hot; ``None``
            where the machine does not say.
        cores: of the machine.
    """

    seconds: float
    other_cores: float
    throttle_events: int | None
    cores: int = 2

    @property
    def other_share(self) -> float:
        """The same as a share of the cores beside the one that was measured on."""
        return self.other_cores / max(self.cores - 1, 1)


@dataclass(frozen=True)
class Counters:
    """Running totals of a machine, to be read twice.

    Attributes:
        time_s: when, on the monotonic clock.
        busy_s: processor seconds of all programs, and those given to other guests.
        own_s: processor seconds of this process.
        throttle_events: since the machine started; ``None`` where it does not say.
        cores: of the machine.
    """

    time_s: float
    busy_s: float
    own_s: float
    throttle_events: int | None
    cores: int = 2

    def since(self, earlier: Counters) -> Disturbance:
        """What happened between an earlier reading and this one."""
        seconds = max(self.time_s - earlier.time_s, 1e-9)
        other = (self.busy_s - earlier.busy_s) - (self.own_s - earlier.own_s)
        events = None
        if self.throttle_events is not None and earlier.throttle_events is not None:
            events = self.throttle_events - earlier.throttle_events
        return Disturbance(seconds, max(other / seconds, 0.0), events, self.cores)


@runtime_checkable
class Watched(Protocol):
    """A device that can say what else happens on it."""

    def counters(self) -> Counters | None:
        """Running totals now; ``None`` where the system does not tell."""


def host_counters() -> Counters | None:
    """Running totals of this machine; ``None`` where the system does not tell (not Linux)."""
    try:
        fields = _STAT.read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _wait, irq, soft, steal = (int(field) for field in fields[:8])
    except (OSError, ValueError):
        return None
    ticks = user + nice + system + irq + soft + steal
    return Counters(
        time_s=time.monotonic(),
        busy_s=ticks / _TICKS_PER_S,
        own_s=time.process_time(),
        throttle_events=_throttle_events(),
        cores=os.cpu_count() or 1,
    )


def _throttle_events() -> int | None:
    counts = []
    for path in Path(_THROTTLE).glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        try:
            counts.append(int(path.read_text()))
        except (OSError, ValueError):
            return None
    return sum(counts) if counts else None
