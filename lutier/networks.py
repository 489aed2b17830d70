"""Whole networks of a space: to calibrate a model with, and to test it on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from devices.errors import InputError
from latency_models.fit import NetworkSample
from profiler.jobs import Job
from profiler.table import LatencyTable
from search.architecture import Architecture
from search.spaces.base import SearchSpace
from search.spaces.registry import open_space

_CARRIER = "carrier/"
_LARGE = 10
"""Times as many networks as there are carriers, above which they are left out of a draw."""


def op_jobs(space: SearchSpace) -> list[Job]:
    """The jobs of measuring every op of a space."""
    return [Job.of_op(spec) for spec in space.all_ops()]


def carriers(space: SearchSpace, seed: int) -> list[Architecture]:
    """The networks that ops are measured beside: two sets, each of which holds every op."""
    return list(dict.fromkeys([*space.covering(2 * seed), *space.covering(2 * seed + 1)]))


def carrier_jobs(space: SearchSpace, seed: int) -> list[Job]:
    """The jobs of measuring the carriers, and what a call of the runtime costs."""
    jobs = []
    for architecture in carriers(space, seed):
        job = network_job(space, architecture)
        jobs.append(replace(job, key=_CARRIER + job.key, role="carrier"))
    return [*jobs, Job.of_call()]


def network_job(space: SearchSpace, architecture: Architecture) -> Job:
    """The job of measuring one network of a space."""
    ops = tuple(op.key for op in space.ops(architecture) if not op.is_free)
    return Job(
        architecture.id, "network", lambda: space.build(architecture), space.input_shape, ops
    )


def draw_networks(space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Distinct networks, every other one uniform and every other one from all over the range.

    The first of a larger draw are the networks of a smaller one, so that asking for more later
    measures only what is new. None is a carrier, but in a space that has few other networks.
    Spaces with fewer networks give all they have.
    """
    generator = np.random.default_rng(seed)
    wanted = min(count, space.size)
    drawn: dict[Architecture, None] = {}
    if space.size <= 2 * wanted:
        return list(space.enumerate())[:wanted]
    carried = set(carriers(space, seed))
    # Not by how many are wanted: a larger draw would go another way than a smaller one.
    seen = carried if space.size > _LARGE * len(carried) else set()
    while len(drawn) < wanted:
        draw = space.sample if len(drawn) % 2 == 0 else space.sample_spread
        architecture = draw(generator)
        if architecture not in seen:
            drawn.setdefault(architecture)
    return list(drawn)


def measured_spaces(table: LatencyTable) -> list[str]:
    """Names of the spaces that a table has whole networks of, sorted.

    Networks of no space known here, such as those of an imported table, are left out.
    """
    names = {found.space for found in map(_architecture, table.networks) if found}
    return sorted(name for name in names if _is_space(name))


def network_samples(table: LatencyTable, space_name: str) -> list[NetworkSample]:
    """The measured networks of one space, with their ops, sorted by id."""
    return _samples(table.networks, space_name)


def carrier_samples(table: LatencyTable, space_name: str) -> list[NetworkSample]:
    """The carriers of one space, with their ops, sorted by key."""
    return _samples(table.carriers, space_name)


def _samples(latencies_ms: Mapping[str, float], space_name: str) -> list[NetworkSample]:
    space = open_space(space_name)
    samples = []
    for key, latency_ms in sorted(latencies_ms.items()):
        architecture = _architecture(key.removeprefix(_CARRIER))
        if architecture is not None and architecture.space == space.name:
            samples.append(NetworkSample(key, space.ops(architecture), latency_ms))
    return samples


def _architecture(key: str) -> Architecture | None:
    """The architecture of a network's key; ``None`` where it is a name of another kind."""
    try:
        return Architecture.parse(key)
    except InputError:
        return None


def _is_space(name: str) -> bool:
    try:
        open_space(name)
    except InputError:
        return False
    return True


def summarise_failures(failed: Iterable[tuple[str, str]], most: int = 3) -> str:
    """The first few failures in one line."""
    items = list(failed)
    shown = "; ".join(f"{key}: {reason}" for key, reason in items[:most])
    return shown + (f"; and {len(items) - most} more" if len(items) > most else "")
