"""Protocol: how something is timed, so that two figures can be compared."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from devices.errors import InputError

_LONGEST_S = 7 * 24 * 3600
STATISTIC = "median over visits of the fastest run of a visit, at one speed of the reference"


@dataclass(frozen=True)
class Protocol:
    """Shuffled warm rounds.

    In every round each model is visited once, in a new random order: a few untimed runs, then a
    few timed ones. The fastest timed run of a visit stands for the visit, because everything that
    disturbs a run makes it slower; the median over visits is the latency, because the speed of the
    machine itself drifts slowly and the fastest visit would be a lucky one. Ops and networks share
    the rounds, so that a drift meets both alike; what is left of it, a reference timed between any
    two visits, or every few, shows (:mod:`profiler.visit`).

    Attributes:
        warmup_runs: untimed runs at the start of a visit.
        timed_runs: timed runs of a visit.
        min_rounds: rounds that every model is visited in.
        max_rounds: rounds after which measuring ends, quiet or not, but for ``min_seconds``.
        min_seconds: measuring goes on at least this long, so that a few small models are not judged
            by one moment of the machine.
        max_seconds: measuring ends after the round in which this time is over, quiet or not, but
            for ``min_rounds``. Small models so get many rounds where the machine is noisy, and
            large ones do not take for ever.
        reference_every: visits between two timings of the reference.
        renewal: a model is loaded anew when the visits since it was loaded took this many times
            what loading it took; 0: never (:mod:`profiler.renewal`).
        target_error: the stop rule: a model is measured until half the width of the 95 % interval
            of its latency is at most this (relative).
    """

    warmup_runs: int = 2
    timed_runs: int = 5
    min_rounds: int = 12
    max_rounds: int = 300
    target_error: float = 0.01
    min_seconds: float = 0.0
    max_seconds: float = 120.0
    reference_every: int = 1
    renewal: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_runs < 0 or self.timed_runs < 1:
            raise InputError("a visit needs at least one timed run, and no negative warm-up")
        if not 2 <= self.min_rounds <= self.max_rounds:
            raise InputError(
                f"rounds from {self.min_rounds} to {self.max_rounds}",
                "at least 2 rounds are needed, and the most cannot be below the least",
            )
        if not 0 <= self.min_seconds <= self.max_seconds <= _LONGEST_S:
            raise InputError(
                f"measuring from {self.min_seconds} to {self.max_seconds} seconds",
                f"must be 0 to {_LONGEST_S}, and the most cannot be below the least",
            )
        if self.reference_every < 1:
            raise InputError(f"the reference every {self.reference_every} visits", "at least 1")
        if not 0 <= self.renewal < math.inf:
            raise InputError(f"renewal {self.renewal}", "must be 0 or more")
        if not 0 < self.target_error < 1:
            raise InputError(f"target error {self.target_error}", "must be between 0 and 1")

    def lengthened(self, factor: float) -> Protocol:
        """The same, but for that many times the least seconds."""
        seconds = self.min_seconds * factor
        return replace(self, min_seconds=seconds, max_seconds=max(seconds, self.max_seconds))

    def to_dict(self) -> dict[str, int | float | str]:
        """The settings and the statistic, as they are stored."""
        settings = asdict(self)
        # These are as old tables have it, which know of nothing else.
        if self.reference_every == 1:
            del settings["reference_every"]
        if not self.renewal:
            del settings["renewal"]
        return {**settings, "statistic": STATISTIC}

    @cached_property
    def id(self) -> str:
        """Twelve hex digits that change when a setting changes."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
