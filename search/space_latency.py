"""Latencies of the networks of a space: by block of a chain, else one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from devices.errors import InputError
from latency_models.base import NetworkLatencyModel
from latency_models.network import SumModel
from search.architecture import Architecture
from search.budget_checks import check_budget, check_scale
from search.expected_latency import LatencyMatrix
from search.pricing import FloatArray
from search.spaces.base import ChainSpace, SearchSpace

LARGEST_LISTED = 100_000
"""Architectures of the largest space whose networks are priced one by one."""


@dataclass(frozen=True)
class LatencyList:
    """What every network of a small space takes, whatever its shape.

    Attributes:
        space: the space that is priced.
        latencies_ms: latency of every architecture in ms; those of one network have the same.

    Raises:
        InputError: not one finite number for each architecture.
    """

    space: SearchSpace
    latencies_ms: Mapping[Architecture, float]

    def __post_init__(self) -> None:
        if len(self.latencies_ms) != self.space.size:
            raise InputError(
                f"latencies of {len(self.latencies_ms):,} architectures",
                f"{self.space.name} has {self.space.size:,}",
            )
        if not all(map(math.isfinite, self.latencies_ms.values())):
            raise InputError(f"latencies of {self.space.name} are not all finite")

    @classmethod
    def from_model(cls, space: SearchSpace, model: NetworkLatencyModel) -> LatencyList:
        """Ask a latency model for every network once.

        Raises:
            MissingEntryError: an op the model cannot answer for.
            InputError: a space of more than :data:`LARGEST_LISTED` architectures.
        """
        if space.size > LARGEST_LISTED:
            raise InputError(
                f"{space.name} has {space.size:,} architectures",
                f"networks that are no chain of blocks are priced one by one, up to"
                f" {LARGEST_LISTED:,}",
            )
        known = {one: space.representative(one) for one in space.enumerate()}
        networks = list(dict.fromkeys(known.values()))
        predicted_ms = model.predict_ms([space.ops(network) for network in networks])
        of = dict(zip(networks, map(float, predicted_ms), strict=True))
        return cls(space, {one: of[network] for one, network in known.items()})

    def price(self, architectures: Sequence[Architecture]) -> FloatArray:
        """Predicted latency of each architecture in ms, shape ``(len(architectures),)``.

        Raises:
            InputError: an architecture that is not of this space.
        """
        return np.array([self.latencies_ms[self.space.check(one)] for one in architectures])

    @cached_property
    def networks(self) -> tuple[Architecture, ...]:
        """Every network once, by the architecture that it is known by, in order."""
        return tuple(dict.fromkeys(map(self.space.representative, self.latencies_ms)))

    def fastest(self) -> tuple[Architecture, float]:
        """The network of lowest predicted latency, and that latency in ms."""
        one = min(self.networks, key=self.latencies_ms.__getitem__)
        return one, self.latencies_ms[one]

    def slowest(self) -> tuple[Architecture, float]:
        """The network of highest predicted latency, and that latency in ms."""
        one = max(self.networks, key=self.latencies_ms.__getitem__)
        return one, self.latencies_ms[one]

    def check_budget(self, budget_ms: float) -> float:
        """As :func:`search.budget_checks.check_budget`."""
        return check_budget(self, budget_ms)

    def check_scale(self, budget_ms: float) -> None:
        """As :func:`search.budget_checks.check_scale`."""
        check_scale(self, budget_ms)


SpaceLatency = LatencyMatrix | LatencyList
"""Latencies of any space: what KNAS and the strategies search under."""


def price_space(space: SearchSpace, model: SumModel, near_ms: float) -> SpaceLatency:
    """Ask a model for the latencies of a space.

    Args:
        space: to price.
        model: of whole networks.
        near_ms: where it has to be right, for a chain: there the model is made additive.

    Raises:
        MissingEntryError: an op the model cannot answer for.
        UntrustworthyError: a network that the model has no latency above 0 for.
        InputError: neither a chain nor a small space.
    """
    if isinstance(space, ChainSpace):
        return LatencyMatrix.from_model(space, model.near(near_ms))
    return LatencyList.from_model(space, model)
