"""What a proxy is: a figure of a network before training, and the paper it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devices.errors import InputError

if TYPE_CHECKING:
    from search.proxies.context import ScoreContext

Compute = Callable[["ScoreContext"], float]


@dataclass(frozen=True)
class Proxy:
    """One figure of a freshly initialised network, called with what it is computed from.

    Attributes:
        name: that it is opened by.
        source: the paper.
        compute: gives the figure; raises :class:`InputError` where a network has none.
        higher_is_better: whether networks of a larger figure are expected to train better.
    """

    name: str
    source: str
    compute: Compute = field(repr=False)
    higher_is_better: bool = True

    @property
    def summary(self) -> str:
        """One line about it."""
        return (self.compute.__doc__ or "").partition("\n")[0]

    def __call__(self, context: ScoreContext) -> float:
        """The figure of a network.

        Raises:
            InputError: the network has none, or one that is not finite: it is unknown, not bad.
        """
        value = float(self.compute(context))
        if not math.isfinite(value):
            raise InputError(f"{self.name} of {context.label}", f"it is {value}")
        return value

    def better(self, value: float) -> float:
        """The figure, turned around where less is better: of two, the larger is preferred."""
        return value if self.higher_is_better else -value


def proxy(source: str, *, higher_is_better: bool = True) -> Callable[[Compute], Proxy]:
    """Decorate a function of a :class:`ScoreContext`; it becomes the proxy of its name.

    Args:
        source: the paper.
        higher_is_better: whether networks of a larger figure are expected to train better.
    """

    def make(compute: Compute) -> Proxy:
        return Proxy(compute.__name__, source, compute, higher_is_better)

    return make


@dataclass(frozen=True)
class Score:
    """What a proxy said of a network.

    Attributes:
        value: the figure; nothing where there is none.
        failure: why there is none; else empty.
        seconds: its own time, without the passes that it shares with others.
    """

    value: float | None
    failure: str
    seconds: float
