"""What happens while a device is profiled, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Prepared:
    """A model file was written and loaded: ``count`` of ``total``."""

    key: str
    count: int
    total: int


@dataclass(frozen=True)
class Visited:
    """A model was visited and the visit stored."""

    key: str
    number: int


@dataclass(frozen=True)
class RoundEnded:
    """Every model was visited once more.

    Attributes:
        round: rounds so far, those of an earlier, interrupted run included.
        models: how many models are being measured.
        split_half_error: of these models so far, relative.
    """

    round: int
    models: int
    split_half_error: float


@dataclass(frozen=True)
class Failed:
    """A model could not be measured; the failure was stored."""

    key: str
    reason: str


@dataclass(frozen=True)
class Waiting:
    """Nothing is left to measure but what other processes are measuring just now.

    Attributes:
        count: how many ops and networks that is.
        hosts: names of the machines of these processes.
    """

    count: int
    hosts: tuple[str, ...]


Event = Prepared | Visited | RoundEnded | Failed | Waiting
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that does nothing."""
