"""From visits to a figure with its uncertainty."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SOUND = "sound"
"""What the store says of a measurement that no rule objects to."""
TRUST_LIMIT = 0.05
"""Split-half error above which no statistic of a run is to be trusted."""


@dataclass(frozen=True)
class Summary:
    """The latency of one op or network.

    Attributes:
        median_ms: median over visits of the fastest run of each visit, all at one speed.
        ci_low_ms: lower end of the 95 % confidence interval of that median.
        ci_high_ms: upper end.
        spread: median absolute deviation of the visits from the median, relative to it.
        split_half: relative difference of the medians of the odd and the even visits.
        visits: number of visits.
        runs: number of timed runs.
        exponent: how the visits were brought to one speed (:class:`profiler.visit.Scale`).
        nominal_ms: the reference at that speed; ``None`` without one.
        findings: names of the rules of :mod:`profiler.rules` that object; ``None`` where they were
            not asked.
    """

    median_ms: float
    ci_low_ms: float
    ci_high_ms: float
    spread: float
    split_half: float
    visits: int
    runs: int
    exponent: float | None = None
    nominal_ms: float | None = None
    findings: tuple[str, ...] | None = None

    def to_columns(self) -> dict[str, Any]:
        """The summary as columns of the store."""
        findings = None if self.findings is None else " ".join(self.findings) or SOUND
        return {**asdict(self), "findings": findings}


def summarise(
    visits_ms: Sequence[Sequence[float]], values_ms: Sequence[float] | None = None
) -> Summary:
    """Summarise the visits of one model.

    Args:
        visits_ms: the timed runs of each visit in ms, in order of the visits; at least one each.
        values_ms: the latency that stands for each visit; its fastest run by default.
    """
    values = [min(visit) for visit in visits_ms] if values_ms is None else list(values_ms)
    median = statistics.median(values)
    low, high = median_interval(values)
    deviation = statistics.median(abs(value - median) for value in values)
    return Summary(
        median_ms=median,
        ci_low_ms=low,
        ci_high_ms=high,
        spread=deviation / median,
        split_half=split_half_difference(values),
        visits=len(values),
        runs=sum(len(visit) for visit in visits_ms),
    )


def median_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float]:
    """Distribution-free confidence interval of a median, from order statistics.

    The number of values below the true median is binomial(n, 1/2). Where ``n`` is too small for
    the coverage, the interval is the whole range.

    Source: Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    ordered = sorted(values)
    n = len(ordered)
    outside = 0.0
    rank = 0
    while rank < n // 2:
        outside += 2 * math.comb(n, rank) / 2**n
        if outside > 1 - coverage:
            break
        rank += 1
    # `rank` values may be left out on either side.
    rank = max(rank - 1, 0)
    return ordered[rank], ordered[n - 1 - rank]


def split_half_difference(values: Sequence[float]) -> float:
    """Relative difference of the medians of the odd and the even values; NaN below two values."""
    if len(values) < 2:
        return math.nan
    first, second = statistics.median(values[0::2]), statistics.median(values[1::2])
    return abs(first - second) / ((first + second) / 2)


def split_half_error(differences: Iterable[float]) -> float:
    """Split-half error of a run: the mean of its models' differences; NaN where there are none."""
    known = [value for value in differences if math.isfinite(value)]
    return statistics.fmean(known) if known else math.nan


def interval_error(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval of the median, relative to the median."""
    low, high = median_interval(values)
    return (high - low) / (2 * statistics.median(values))
