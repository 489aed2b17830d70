"""What the runtimes of this machine share: loading a file, and timing a call."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.target import Target

_PERIOD = 16381


class HostRuntime(Protocol):
    """One inference runtime of this machine."""

    name: str
    artifact_format: str
    options: frozenset[str]
    """Names of :data:`devices.target.CHOICES` that it has."""

    def version(self) -> str:
        """Its version.

        Raises:
            MissingExtraError: it is not installed.
        """

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model file; errors as in :meth:`devices.base.Device.load`."""


def time_calls_ms(call: Callable[[], object], *, warmup: int, runs: int) -> list[float]:
    """Latencies in ms of ``runs`` calls, after ``warmup`` untimed ones."""
    for _ in range(warmup):
        call()
    clock = time.perf_counter_ns
    stamps = []
    for _ in range(runs):
        start = clock()
        call()
        stamps.append(clock() - start)
    return [stamp / 1e6 for stamp in stamps]


def example_input(shape: tuple[int, ...]) -> FloatArray:
    """A fixed input of standard normal values, so that no run meets denormals or all zeros.

    The values repeat after a prime number of them: drawing millions takes longer than a model's
    first runs.
    """
    return np.resize(_normal_values(), shape)


@functools.cache
def _normal_values() -> FloatArray:
    return np.random.default_rng(0).standard_normal(_PERIOD, dtype=np.float32)
