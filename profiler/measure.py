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
from profiler.quality import interval_error, split_half_difference, split_half_error
from profiler.reference import Reference
from profiler.visit import PLAIN, Scale, Series, Visit, choose_scale


def measure_rounds(
    models: Mapping[str, LoadedModel],
    series: MutableMapping[str, Series],
    protocol: Protocol,
    generator: np.random.Generator,
    *,
    reference: Reference | None = None,
    nominal_ms: float | None = None,
    keep: Callable[[str, int, Visit], None],
    on_failure: Callable[[str, str], None],
    on_event: Callable[[Event], None],
) -> Scale:
    """Visit every model in shuffled rounds until the protocol is satisfied.

    A model whose interval is narrow enough is left out of further rounds; the noisy ones go on.
    Visits from an earlier, interrupted run count: models that have fewer than the others catch up
    first, so that in the end all have been measured in the same rounds but for the interruption.

    Args:
        models: loaded models by key.
        series: visits so far, extended in place; a key may be absent.
        protocol: how long and how often.
        generator: draws the order of each round.
        reference: timed between any two visits, where there is one.
        nominal_ms: the reference at the speed that latencies are given for; by default its median.
        keep: stores one visit (key, number from 0, visit) before the next begins.
        on_failure: told the key and reason of a model that could not be run; it is left out from
            then on.
        on_event: told of visits and rounds.

    Returns:
        How the visits are brought to one speed of the machine.
    """
    start = time.monotonic()
    measured = dict.fromkeys(models)
    for key in measured:
        series.setdefault(key, Series())
    active = dict(models)
    scale = PLAIN
    while active:
        done = min(len(series[key]) for key in active)
        seconds = time.monotonic() - start
        scale = choose_scale([series[key] for key in measured], nominal_ms)
        if done >= protocol.min_rounds and seconds >= protocol.min_seconds:
            for key in [key for key in active if _is_tight(series[key], scale, protocol)]:
                del active[key]
            if not active or done >= protocol.max_rounds or seconds >= protocol.max_seconds:
                return scale
            done = min(len(series[key]) for key in active)
        keys = [key for key in active if len(series[key]) == done]
        with _no_garbage_collection():
            before = _timing(reference)
            for place, i in enumerate(generator.permutation(len(keys)), start=1):
                key = keys[i]
                try:
                    samples = active[key].time_ms(
                        warmup=protocol.warmup_runs, runs=protocol.timed_runs
                    )
                except MeasurementError as trouble:
                    on_failure(key, str(trouble))
                    del active[key], measured[key]
                    before = _timing(reference)
                    continue
                after = _timing(reference) if place % protocol.reference_every == 0 else ()
                visit = Visit(tuple(samples), before + after)
                before = after or before
                keep(key, done, visit)
                series[key].add(visit)
                on_event(Visited(key, done))
        if active:
            error = _split_half_error([series[key] for key in measured], scale)
            on_event(RoundEnded(done + 1, len(active), error))
    return scale


def _is_tight(series: Series, scale: Scale, protocol: Protocol) -> bool:
    return interval_error(series.values_ms(scale)) <= protocol.target_error


def _timing(reference: Reference | None) -> tuple[float, ...]:
    return () if reference is None else (reference.time_ms(),)


def _split_half_error(series: list[Series], scale: Scale) -> float:
    return split_half_error(split_half_difference(each.values_ms(scale)) for each in series)


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
