"""A process as its own machine knows it: whether a process that left something behind is dead."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Place, number and start of this process; no other process has the same."""
    pid = os.getpid()
    return f"{_place()}/{pid}/{_start_of(pid) or ''}"


def is_dead(process: str) -> bool:
    """Whether a process is certainly no more.

    Args:
        process: what :func:`this_process` said in it.

    Returns:
        False where it lives, and where that cannot be seen from here: on another machine, in
        another container, before a restart, or on a system without POSIX signals.
    """
    place, _, rest = process.partition("/")
    number, _, start = rest.partition("/")
    if os.name != "posix" or place != _place() or not number.isdigit():
        return False
    pid = int(number)
    try:
        os.kill(pid, 0)  # asks only
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    found = _start_of(pid)
    # Another start: the number was given to another process. None: killed, not yet waited for.
    return bool(start) and found != start


def _place() -> str:
    """This start of this machine, and within it this container."""
    facts = [socket.gethostname()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # Not Linux: its name is all there is to know a machine by.
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _start_of(pid: int) -> str | None:
    """When a process began, in ticks; None where it has ended or the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything; state is the third field and start the 22nd.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]
