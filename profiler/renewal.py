"""Renewal: a model is loaded anew now and then, so that no one load of it stands for all.

Where a runtime puts the weights of a model in memory is a matter of chance, and a few percent of
its latency are. However often one load of it is timed, that chance stays the same, and does not
show in the split-half error. Over several loads it becomes noise that the median takes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from devices.base import LoadedModel
from devices.errors import ArtifactError, MeasurementError
from profiler.protocol import Protocol

SETTLING_RUNS = 4
"""Untimed runs of a new load, beyond those of every visit: the first ones allocate and fault."""


def load_renewed(load: Callable[[], LoadedModel], protocol: Protocol) -> LoadedModel:
    """A model that is loaded anew as often as a protocol wants it.

    Args:
        load: loads the model; called again for each renewal.
        protocol: its ``renewal`` says how often.

    Raises:
        Whatever ``load`` raises the first time; later on, :class:`MeasurementError` in ``time_ms``
        where the model can no longer be loaded.
    """
    return _Renewed(load, protocol.renewal) if protocol.renewal else load()


class _Renewed:
    def __init__(self, load: Callable[[], LoadedModel], worth: float) -> None:
        self._load = load
        self._worth = worth
        self._visited_s = 0.0
        self._model, self._load_s = self._timed_load()

    def _timed_load(self) -> tuple[LoadedModel, float]:
        start = time.perf_counter()
        model = self._load()
        return model, time.perf_counter() - start

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        if self._visited_s > self._worth * self._load_s:
            self._renew()
            warmup += SETTLING_RUNS
        start = time.perf_counter()
        samples = self._model.time_ms(warmup=warmup, runs=runs)
        self._visited_s += time.perf_counter() - start
        return samples

    def _renew(self) -> None:
        try:
            # The new one before the old is gone: it would get the same place.
            model, self._load_s = self._timed_load()
        except ArtifactError as trouble:
            raise MeasurementError("loaded once, but not again", str(trouble)) from trouble
        self._model.close()
        self._model = model
        self._visited_s = 0.0

    def close(self) -> None:
        self._model.close()
