"""Tables that are measured for a benchmark and kept no longer."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from devices.registry import open_target
from devices.target import Target
from lutier.networks import carrier_jobs, draw_networks, network_job, op_jobs
from lutier.progress import ProfileBar
from lutier.settings import Settings
from profiler.jobs import Job
from profiler.run import profile
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable
from search.architecture import Architecture
from search.spaces.registry import open_space


def measure_space(
    name: str, target: Target, networks: int, *, seed: int, time_limit: float
) -> tuple[LatencyTable, list[Architecture]]:
    """Measure a space's ops, its carriers and some whole networks in common rounds.

    Args:
        name: of the space.
        target: what to measure on.
        networks: how many to draw; half uniform, half spread over the range of sizes, in turn.
        seed: of the networks and of the order of visits.
        time_limit: seconds after which measuring ends, as ``lutier profile --time-limit``.

    Returns:
        The table, and the networks drawn.
    """
    space = open_space(name)
    drawn = draw_networks(space, networks, seed)
    jobs = op_jobs(space) + carrier_jobs(space, seed)
    jobs += [network_job(space, architecture) for architecture in drawn]
    settings = Settings(max_seconds=time_limit, min_seconds=0)
    return measure_jobs(jobs, settings, target, seed=seed), drawn


def measure_jobs(
    jobs: Sequence[Job], settings: Settings, target: Target, *, seed: int
) -> LatencyTable:
    """The table of some ops and networks, measured in common rounds.

    Args:
        jobs: what to measure.
        settings: how long.
        target: what to measure on.
        seed: of the order of visits.
    """
    protocol = settings.protocol(target)
    with (
        tempfile.TemporaryDirectory() as folder,
        MeasurementStore(f"sqlite:///{folder}/lut.db") as store,
        open_target(target) as device,
        ProfileBar(protocol) as bar,
    ):
        profile(jobs, device, target, store, protocol, seed=seed, on_event=bar)
        return LatencyTable.load(store, target)
