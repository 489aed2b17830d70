"""Rules of quality: what can be wrong with a measurement, one function a rule.

Each is told what is known of one measurement and says whether it objects. The names of those that
do are stored with the measurement. A rule that lacks what it needs to know does not object.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import spearmanr

from devices.health import Disturbance
from profiler.quality import TRUST_LIMIT, split_half_difference

LEAST_VISITS = 8
"""Below it the 95 % interval of the median is the whole range of the visits, or nearly so."""
DRIFT_LIMIT = 0.05
"""Change from the first third of the visits to the last one, relative."""
CERTAIN = 1e-3
"""Chance of a trend by luck, below which it is one."""
MODE_SHARE = 0.2
"""Least share of the visits that makes a second mode."""
MODE_DISTANCE = 0.03
"""Distance of two modes, relative, below which they do no harm."""
MODE_SEPARATION = 5.0
"""Distance of two modes in units of their own spreads."""
BUSY_SHARE = 0.5
"""Share of the other cores that other programs kept busy on the average."""
COARSE_STEP = 0.02
"""Step of the clock, relative to the latency."""
ROWS_LIMIT = 0.05
"""Share of the rows of a table with findings, above which it is not to be trusted."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one measurement.

    Attributes:
        values_ms: the latency of each visit, all at one speed of the machine, in order.
        samples_ms: the timed runs of each visit.
        disturbance: what else happened on the machine meanwhile; ``None`` where it does not tell.
    """

    values_ms: Sequence[float]
    samples_ms: Sequence[Sequence[float]]
    disturbance: Disturbance | None = None


def few(evidence: Evidence) -> bool:
    """Too few visits to say how sure the figure is."""
    return len(evidence.values_ms) < LEAST_VISITS


def noisy(evidence: Evidence) -> bool:
    """The odd and the even visits disagree."""
    return split_half_difference(evidence.values_ms) > TRUST_LIMIT


def drift(evidence: Evidence) -> bool:
    """Later visits took longer, or less long, than earlier ones, beyond what is chance."""
    values = np.array(evidence.values_ms)
    third = len(values) // 3
    if len(values) < LEAST_VISITS or np.ptp(values) == 0:
        return False
    first, last = np.median(values[:third]), np.median(values[-third:])
    changed = abs(last - first) / np.median(values) > DRIFT_LIMIT
    return bool(changed and spearmanr(np.arange(len(values)), values).pvalue < CERTAIN)


def bimodal(evidence: Evidence) -> bool:
    """The visits fall into two groups, as when a core changes between two clocks.

    The cut is where the two groups have the least variance within (Otsu, 1979). They are two modes
    where each has a fifth of the visits, and they are apart by five times their own spread.
    """
    values = np.sort(np.array(evidence.values_ms))
    least = max(2, round(MODE_SHARE * len(values)))
    if len(values) < LEAST_VISITS:
        return False
    n = len(values)
    cuts = range(least, n - least + 1)
    within = [cut * values[:cut].var() + (n - cut) * values[cut:].var() for cut in cuts]
    cut = cuts[int(np.argmin(within))]
    low, high = values[:cut], values[cut:]
    distance = float(high.mean() - low.mean())
    spread = float(np.hypot(low.std(), high.std()))
    least_distance = MODE_DISTANCE * float(np.median(values))
    return distance > max(least_distance, MODE_SEPARATION * spread)


def throttled(evidence: Evidence) -> bool:
    """The processor lowered its clock because it was too hot."""
    disturbance = evidence.disturbance
    return disturbance is not None and (disturbance.throttle_events or 0) > 0


def busy(evidence: Evidence) -> bool:
    """Other programs, or other guests of the same machine, kept half of the other cores busy."""
    disturbance = evidence.disturbance
    return disturbance is not None and disturbance.other_share > BUSY_SHARE


def coarse(evidence: Evidence) -> bool:
    """The clock steps so far that the figure is mostly rounding."""
    distinct = sorted({value for visit in evidence.samples_ms for value in visit})
    runs = sum(map(len, evidence.samples_ms))
    median = statistics.median(evidence.values_ms)
    if runs < 2 * LEAST_VISITS:
        return False
    if len(distinct) == 1:
        return True
    # Runs of a clock that is fine enough hardly ever agree to the last digit.
    step = min(after - before for before, after in pairwise(distinct))
    return step > COARSE_STEP * median and len(distinct) < runs / 4


RULES: Mapping[str, Callable[[Evidence], bool]] = {
    rule.__name__: rule for rule in (few, noisy, drift, bimodal, throttled, busy, coarse)
}
"""Every rule by its name."""


def judge(evidence: Evidence) -> tuple[str, ...]:
    """Names of the rules that object; none where the measurement is sound."""
    return tuple(name for name, rule in RULES.items() if rule(evidence))


def explain(name: str) -> str:
    """What a rule objects to, in one line."""
    rule = RULES.get(name)
    return ((rule.__doc__ if rule else "") or name).strip().partition("\n")[0]
