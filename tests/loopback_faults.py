"""What can go wrong with a simulated phone: faults, and when each of them strikes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

LINK = frozenset({"unauthorized", "mute", "offline"})
"""Faults of the whole link: they drop it, and last."""
SHELL = frozenset({"drop-shell", "slow", "killed", "cut"})
PUSH = frozenset({"drop-push", "full-disk"})
OPEN = frozenset({"refuse-open"})


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: ``unauthorized`` (the link drops, and the phone wants to be asked first), ``mute``
            (drops, then no greeting is answered), ``offline`` (drops, then nobody is let in),
            ``drop-shell`` (the link breaks amid the output of a command), ``drop-push`` (amid a
            file), ``refuse-open`` (a service is not opened), ``slow`` (a command starts late),
            ``full-disk`` (a file does not fit), ``killed`` (what a command runs dies half way),
            ``cut`` (output ends half way, in the middle of a line, with status 0).
        matching: part of the shell command, the pushed path, or for ``refuse-open`` the service,
            that it strikes; empty for any. A fault of the link that names nothing and lets nothing
            pass strikes at once.
        after: how many that match are let pass before.
        times: how many that match are struck.
        seconds: how long a fault of the link lasts; how late a slow command starts; how long after
            its first output, at most, the link of ``drop-shell`` breaks.
        status: what a command that was killed ends with: 128 and the signal.
    """

    kind: str
    matching: str = ""
    after: int = 0
    times: int = 1
    seconds: float = 1.0
    status: int = 137

    def __post_init__(self) -> None:
        if self.kind not in LINK | SHELL | PUSH | OPEN:
            raise ValueError(f"no such fault: {self.kind!r}")

    @property
    def at_once(self) -> bool:
        """Whether it waits for nothing."""
        return self.kind in LINK and not self.matching and not self.after


class Faults:
    """The faults that wait for what they strike."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, list[int]]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Have one wait."""
        with self._lock:
            self._waiting.append((fault, [0]))

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._waiting.clear()

    def strike(self, kinds: Iterable[str], text: str) -> dict[str, Fault]:
        """Those that strike this command, path or service, by their kind."""
        struck = {}
        with self._lock:
            for fault, seen in self._waiting:
                if fault.kind not in kinds or fault.matching not in text:
                    continue
                seen[0] += 1
                if fault.after < seen[0] <= fault.after + fault.times:
                    struck[fault.kind] = fault
        return struck
