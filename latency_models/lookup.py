"""Latencies straight from the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import norm

from devices.errors import InputError
from latency_models.base import FloatArray
from profiler.ops import OpSpec


class OpTable(Protocol):
    """What is asked of a latency table; :class:`profiler.table.LatencyTable` is one."""

    @property
    def ops(self) -> Mapping[OpSpec, float]:
        """Latency in ms of every measured op."""

    def latency_ms(self, spec: OpSpec) -> float:
        """The measured latency of an op in ms; 0 for a free one.

        Raises:
            MissingEntryError: not measured; names the nearest keys and the command that does it.
        """

    def relative_error(self, spec: OpSpec) -> float:
        """Half the width of the 95 % interval of a measured op, relative; NaN where unknown."""


@dataclass(frozen=True)
class LookupModel:
    """Op latencies as they were measured, and nothing else.

    Attributes:
        table: the measured latencies.
    """

    table: OpTable

    def __contains__(self, spec: OpSpec) -> bool:
        """Whether the op was measured, or is free."""
        return spec.is_free or spec in self.table.ops

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Measured latency of each op in ms, shape ``(len(specs),)``; free ops cost 0.

        Raises:
            MissingEntryError: an op that was not measured.
        """
        return np.array([self.table.latency_ms(spec) for spec in specs], dtype=np.float64)

    def interval_ms(self, specs: Sequence[OpSpec], coverage: float = 0.9) -> FloatArray:
        """Interval of each op's measurement in ms, shape ``(len(specs), 2)``.

        NaN where the table does not know it; of another coverage than the 95 % it was measured
        for, it is as wide as that of a normal distribution.

        Raises:
            MissingEntryError: an op that was not measured.
            InputError: a coverage that is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise InputError(f"coverage {coverage}", "must be between 0 and 1", "0.9")
        scale = norm.ppf((1 + coverage) / 2) / norm.ppf(0.975)
        errors = [0.0 if spec.is_free else self.table.relative_error(spec) for spec in specs]
        half = scale * np.array(errors, dtype=np.float64)
        latencies = self.predict_ms(specs)
        return np.stack([latencies * (1 - half), latencies * (1 + half)], axis=-1)
