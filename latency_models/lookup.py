"""Latencies straight from the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

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
