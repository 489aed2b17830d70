"""Visit: what was timed of one op or network at one time, and the latency that stands for it.

The speed of a machine drifts: other work comes and goes, clocks rise and fall. So a small fixed
model, the reference, is timed between any two visits. A visit whose fastest run took ``t`` between
two timings of the reference that average ``r`` counts as

    t / (r / nominal) ** exponent

where ``nominal`` is the reference at the speed the table speaks of, and the exponent says how much
of the reference's slowing-down the other models share. It is found from the visits themselves: the
one under which they agree best, and 0, which leaves them as they are, where that does not lower the
split-half error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from devices.errors import StoreError

FloatArray = npt.NDArray[np.float64]

EXPONENTS = tuple(step / 8 for step in range(13))
"""What is tried, 0 to 1.5; 0 leaves the visits as they are."""
_EXPONENTS = np.array(EXPONENTS)
_ENOUGH = 4


@dataclass(frozen=True)
class Visit:
    """One visit.

    Attributes:
        samples_ms: timed runs in ms, at least one.
        reference_ms: the reference in ms just before and just after; empty where none was timed.
    """

    samples_ms: tuple[float, ...]
    reference_ms: tuple[float, ...] = ()

    @property
    def fastest_ms(self) -> float:
        """The fastest run, which whatever disturbs a run has disturbed least."""
        return min(self.samples_ms)

    @property
    def local_ms(self) -> float:
        """The reference meanwhile; 1 ms where none was timed."""
        return sum(self.reference_ms) / len(self.reference_ms) if self.reference_ms else 1.0

    def values_ms(self) -> FloatArray:
        """The latency under each of :data:`EXPONENTS`, for a nominal reference of 1 ms.

        Multiply by ``nominal ** exponent``. Shape ``(len(EXPONENTS),)``.
        """
        values: FloatArray = self.fastest_ms / self.local_ms**_EXPONENTS
        return values

    @classmethod
    def from_columns(cls, samples_ms: Any, reference_ms: Any = None) -> Self:
        """Read a visit back from the store.

        Raises:
            StoreError: the columns do not hold a visit.
        """
        try:
            return cls(_times(samples_ms, least=1), _times(reference_ms or (), positive=True))
        except (TypeError, ValueError) as error:
            raise StoreError("a visit in the store is damaged", repr(error)) from error


def _times(values: Any, least: int = 0, *, positive: bool = False) -> tuple[float, ...]:
    """Latencies in ms, checked: no figure is made of anything else.

    A single run may be 0 where the clock is coarse and the visit came from elsewhere.
    """
    times = tuple(values)
    for value in times:
        if (
            isinstance(value, bool)
            or not isinstance(value, float | int)
            or not 0 <= value < math.inf
        ):
            raise ValueError(f"not latencies in ms: {str(values)[:80]}")
    if len(times) < least or (positive and 0 in times):
        raise ValueError(f"not latencies in ms: {str(values)[:80]}")
    return times


@dataclass(frozen=True)
class Scale:
    """How the visits of a run are brought to one speed of the machine.

    Attributes:
        exponent: one of :data:`EXPONENTS`.
        nominal_ms: the reference at the speed that latencies are given for; NaN without one.
    """

    exponent: float = 0.0
    nominal_ms: float = math.nan

    def correction(self, visit: Visit) -> float:
        """What the runs of a visit are multiplied by to bring them to that speed."""
        if self.exponent == 0 or not visit.reference_ms:
            return 1.0
        return self.factor / float(visit.local_ms**self.exponent)

    @property
    def factor(self) -> float:
        """What a value for a nominal reference of 1 ms is multiplied by."""
        return 1.0 if self.exponent == 0 else float(self.nominal_ms**self.exponent)


PLAIN = Scale()
"""Latencies as they were timed."""


class Series:
    """The visits of one op or network so far, and their latencies.

    Args:
        visits: those of before.
    """

    def __init__(self, visits: Sequence[Visit] = ()) -> None:
        self._visits: list[Visit] = []
        self._values: list[FloatArray] = []
        for visit in visits:
            self.add(visit)

    def add(self, visit: Visit) -> None:
        """One more visit."""
        self._visits.append(visit)
        self._values.append(visit.values_ms())

    def __len__(self) -> int:
        """Number of visits."""
        return len(self._visits)

    @property
    def visits(self) -> tuple[Visit, ...]:
        """All visits, in order."""
        return tuple(self._visits)

    @property
    def samples_ms(self) -> list[tuple[float, ...]]:
        """The timed runs of each visit in ms."""
        return [visit.samples_ms for visit in self._visits]

    @property
    def references_ms(self) -> list[float]:
        """Every timing of the reference, in order."""
        return [value for visit in self._visits for value in visit.reference_ms]

    @property
    def is_referenced(self) -> bool:
        """Whether the reference was timed beside every visit."""
        return all(visit.reference_ms for visit in self._visits)

    def values_ms(self, scale: Scale) -> list[float]:
        """The latency of each visit in ms at the nominal speed."""
        row = EXPONENTS.index(scale.exponent)
        return [float(value[row]) * scale.factor for value in self._values]

    def table(self) -> FloatArray:
        """Latencies for a nominal reference of 1 ms, shape ``(visits, len(EXPONENTS))``."""
        return np.array(self._values, dtype=np.float64).reshape(len(self._values), len(EXPONENTS))


def choose_scale(series: Sequence[Series], nominal_ms: float | None = None) -> Scale:
    """The exponent under which visits agree best, where that lowers the split-half error.

    Args:
        series: all that is measured in a run.
        nominal_ms: the reference at the speed that latencies are to be given for; the median over
            the run by default.
    """
    references = [value for each in series for value in each.references_ms]
    # One visit without the reference cannot be brought to another speed: then none is.
    if not references or not all(each.is_referenced for each in series):
        return PLAIN
    nominal = float(np.median(references)) if nominal_ms is None else nominal_ms
    known = [table for table in (each.table() for each in series) if len(table) >= _ENOUGH]
    if not known or min(float(table.min()) for table in known) <= 0:
        return Scale(0.0, nominal)
    best = int(np.argmin(np.mean([_spreads(table) for table in known], axis=0)))
    halves = np.mean([_half_errors(table) for table in known], axis=0)
    return Scale(EXPONENTS[best] if halves[best] < halves[0] else 0.0, nominal)


def _spreads(table: FloatArray) -> FloatArray:
    """Median absolute deviation of the logarithms under each exponent."""
    logs = np.log(table)
    spread: FloatArray = np.median(np.abs(logs - np.median(logs, axis=0)), axis=0)
    return spread


def _half_errors(table: FloatArray) -> FloatArray:
    """Relative difference of the medians of odd and even visits under each exponent."""
    first, second = np.median(table[0::2], axis=0), np.median(table[1::2], axis=0)
    errors: FloatArray = np.abs(first - second) / (first + second)
    return errors
