"""The measuring loop: shuffled warm rounds over everything that is measured."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager

import numpy as np

from devices.base import LoadedModel
from devices.errors import MeasurementError
from profiler.events import Event, RoundEnded, Visited
from profiler.protocol import Protocol
from profiler.quality import run_split_half_error

Visits = MutableMapping[str, list[list[float]]]
"""Timed runs in ms of every visit, by key."""


def measure_rounds(
    models: Mapping[str, LoadedModel],
    visits: Visits,
    protocol: Protocol,
    generator: np.random.Generator,
    *,
    keep: Callable[[str, int, list[float]], None],
    on_failure: Callable[[str, str], None],
    on_event: Callable[[Event], None],
) -> None:
    """Visit every model in shuffled rounds until the protocol is satisfied.

    Visits from an earlier, interrupted run count: models that have fewer than the others catch up
    first, so that in the end all have been measured in the same rounds but for the interruption.

    Args:
        models: loaded models by key.
        visits: visits so far, extended in place; a key may be absent.
        protocol: how long and how often.
        generator: draws the order of each round.
        keep: stores one visit (key, number from 0, timed runs in ms) before the next begins.
        on_failure: told the key and reason of a model that could not be run; it is left out from
            then on.
        on_event: told of visits and rounds.
    """
    start = time.monotonic()
    active = dict(models)
    for key in active:
        visits.setdefault(key, [])
    while active:
        done = min(len(visits[key]) for key in active)
        seconds = time.monotonic() - start
        if done >= protocol.min_rounds and seconds >= protocol.min_seconds:
            error = run_split_half_error({key: visits[key] for key in active})
            given_up = done >= protocol.max_rounds or seconds >= protocol.max_seconds
            if error <= protocol.target_error or given_up:
                return
        keys = [key for key in active if len(visits[key]) == done]
        with _no_garbage_collection():
            for i in generator.permutation(len(keys)):
                key = keys[i]
                try:
                    samples = active[key].time_ms(
                        warmup=protocol.warmup_runs, runs=protocol.timed_runs
                    )
                except MeasurementError as trouble:
                    on_failure(key, str(trouble))
                    active.pop(key)
                    continue
                keep(key, done, samples)
                visits[key].append(samples)
                on_event(Visited(key, done))
        if active:
            error = run_split_half_error({key: visits[key] for key in active})
            on_event(RoundEnded(done + 1, len(active), error))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep the collector out of timed runs; it is as before afterwards."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
