"""Who works: this process, several of this machine, or a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from devices.errors import InputError
from search.parallel.base import InProcess, Workers
from search.parallel.cluster import RayCluster
from search.parallel.processes import Processes


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def open_workers(count: int, cluster: str | None, device: str) -> Iterator[Workers]:
    """Workers, until the end of the ``with``.

    Args:
        count: of processes, which share the cores; 1 works in this one, with all cores.
        cluster: address of a Ray cluster, ``ray://HOST:PORT``, all CPUs of which work.
        device: that networks are trained on.

    Raises:
        InputError: several processes and a cluster, no address, or training on a GPU in a cluster.
        MissingExtraError: Ray is not installed.
        LinkLostError: no cluster answers there.
    """
    if cluster is None:
        threads = max(1, available_cores() // count)
        yield InProcess() if count == 1 else Processes(count, threads)
        return
    if count != 1:
        raise InputError(
            f"{count} workers and a cluster", "a cluster has the workers it has", "one of the two"
        )
    if device != "cpu":
        raise InputError(
            f"training on {device} in a cluster", "its workers train on a CPU each", "cpu"
        )
    with RayCluster(cluster) as workers:
        yield workers
