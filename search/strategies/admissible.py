"""The networks that a strategy may evaluate: those of a space within a latency budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from devices.errors import BudgetError, InputError
from search.architecture import Architecture
from search.budget import format_ms
from search.expected_latency import LatencyMatrix
from search.pool import sample_pool
from search.pricing import FloatArray
from search.space_latency import SpaceLatency

# Networks of a chain that are drawn at first; each further draw is twice as large.
_FIRST_DRAW = 1_024


@dataclass(frozen=True)
class Neighbours:
    """The networks one change away from one network, itself left out.

    Attributes:
        within: those within the budget, grouped by what is changed: for a chain one group for each
            block that can be changed. No group is empty.
        over_budget: how many more there are that the budget leaves out.
    """

    within: tuple[tuple[Architecture, ...], ...]
    over_budget: int


class Admissible(Protocol):
    """Networks within a latency budget, each known by one architecture.

    Contract: a value, never changed after construction; there is at least one network; the same
    generator state gives the same networks; what ``shuffled`` and ``neighbours`` give is
    admissible, and what ``canonical`` leaves as it is.
    """

    @property
    def budget_ms(self) -> float:
        """In ms."""

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one architecture by which a network is known, of all that make the same network."""

    def latency_ms(self, architecture: Architecture) -> float:
        """Predicted latency in ms, also of a network over the budget.

        Raises:
            InputError: an architecture that is not of the space.
        """

    def shuffled(self, generator: np.random.Generator) -> Iterator[Architecture]:
        """Every admissible network once, in uniformly random order, drawn as it is asked for."""

    def neighbours(self, architecture: Architecture) -> Neighbours:
        """The networks one change away."""

    def features(self, architectures: Sequence[Architecture]) -> FloatArray:
        """Numbers that describe networks to a predictor, shape ``(architectures, features)``."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of choices at each position of an architecture."""

    def architecture(self, choices: Sequence[int]) -> Architecture | None:
        """The architecture with these choices, or nothing where the space has none."""


Features = Callable[[Sequence[Architecture]], FloatArray]


def one_hot(architectures: Sequence[Architecture], widths: Sequence[int]) -> FloatArray:
    """Which choice is taken at each position: 1 where it is, else 0.

    Args:
        architectures: as many choices each as there are widths.
        widths: number of choices at each position.

    Returns:
        Shape ``(architectures, sum of widths)``.
    """
    offsets = np.cumsum([0, *widths[:-1]])
    rows = np.zeros((len(architectures), sum(widths)))
    choices: npt.NDArray[np.int64] = np.array(
        [architecture.choices for architecture in architectures], np.int64
    ).reshape(len(architectures), len(widths))
    np.put_along_axis(rows, choices + offsets, 1.0, axis=1)
    return rows


@dataclass(frozen=True)
class ChainAdmissible:
    """The networks of a chain space whose predicted latency is within a budget.

    Architectures that only skip another one of several equal blocks in a row are one network, known
    by the architecture that skips last, as in :mod:`search.pool`.

    Attributes:
        matrix: latencies of the space.
        budget_ms: in ms.
        described_by: numbers a predictor goes by; ``None`` takes which candidate each block has.

    Raises:
        BudgetError: no network is within the budget; names the fastest.
        InputError: a budget that is not a number.
    """

    matrix: LatencyMatrix
    budget_ms: float
    described_by: Features | None = None

    def __post_init__(self) -> None:
        self.matrix.check_budget(self.budget_ms)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of candidates of each block."""
        return self.matrix.space.widths

    def architecture(self, choices: Sequence[int]) -> Architecture | None:
        """The architecture with these choices."""
        return self.matrix.space.architecture(choices)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The architecture of the same network that skips last among equal blocks in a row."""
        return self.matrix.space.representative(architecture)

    def latency_ms(self, architecture: Architecture) -> float:
        """Predicted latency in ms."""
        return float(self.matrix.price([architecture])[0])

    def shuffled(self, generator: np.random.Generator) -> Iterator[Architecture]:
        """Every admissible network once, in uniformly random order, drawn as it is asked for."""
        seen: set[Architecture] = set()
        count = _FIRST_DRAW
        while True:
            pool = sample_pool(self.matrix, self.budget_ms, count, generator)
            for i in generator.permutation(len(pool.architectures)):
                architecture = pool.architectures[i]
                if architecture not in seen:
                    seen.add(architecture)
                    yield architecture
            if len(pool.architectures) < count:
                return
            count *= 2

    def neighbours(self, architecture: Architecture) -> Neighbours:
        """The networks with the candidate of one block changed, a group a block."""
        start = self.canonical(architecture)
        different = [
            [one for one in dict.fromkeys(map(self.canonical, group)) if one != start]
            for group in _one_choice_away(start, self.widths)
        ]
        flat = [one for group in different for one in group]
        if not flat:
            return Neighbours((), 0)
        fits = iter((self.matrix.price(flat) <= self.budget_ms).tolist())
        kept = [tuple(one for one in group if next(fits)) for group in different]
        within = tuple(group for group in kept if group)
        return Neighbours(within, len(flat) - sum(map(len, within)))

    def features(self, architectures: Sequence[Architecture]) -> FloatArray:
        """Numbers that describe networks to a predictor, shape ``(architectures, features)``."""
        if self.described_by is not None:
            return self.described_by(architectures)
        return one_hot(architectures, self.widths)


@dataclass(frozen=True)
class ListAdmissible:
    """Those of a list of networks whose latency is within a budget.

    Attributes:
        latencies_ms: latency of every network of the list in ms, also of those over the budget.
        budget_ms: in ms.
        neighbours_of: the architectures one change away from one; those that are not in the list
            are passed over. ``None`` takes those that differ in one choice, a group for each
            position.
        same_as: the architecture by which a network is known, where several make the same; it has
            to be in the list. ``None`` where all make different networks.
        described_by: numbers a predictor goes by; ``None`` takes the choices at each position.

    Raises:
        BudgetError: no network is within the budget; names the fastest.
        InputError: an empty list, latencies or a budget that are no numbers, or architectures of
            different lengths.
    """

    latencies_ms: Mapping[Architecture, float]
    budget_ms: float
    neighbours_of: Callable[[Architecture], Sequence[Architecture]] | None = None
    same_as: Callable[[Architecture], Architecture] | None = None
    described_by: Features | None = None

    def __post_init__(self) -> None:
        if not self.latencies_ms:
            raise InputError("a list of no networks", "there is nothing to search")
        if len({len(architecture.choices) for architecture in self.latencies_ms}) > 1:
            raise InputError("architectures of different lengths in one list")
        if math.isnan(self.budget_ms):
            raise InputError("the latency budget is not a number", hint="1.5ms")
        if not all(map(math.isfinite, self.latencies_ms.values())):
            raise InputError("latencies of a list of networks are not all finite")
        if not self._within:
            fastest = min(self.latencies_ms, key=self.latencies_ms.__getitem__)
            raise BudgetError(
                f"no network of {len(self.latencies_ms):,} meets {self.budget_ms:.6g} ms",
                f"the fastest is {fastest.id}, at {format_ms(self.latencies_ms[fastest])}",
                f"a budget of at least {self.latencies_ms[fastest]:.6g}ms",
            )

    @cached_property
    def _within(self) -> tuple[Architecture, ...]:
        known = dict.fromkeys(map(self.canonical, self.latencies_ms))
        return tuple(a for a in known if self.latency_ms(a) <= self.budget_ms)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Number of choices at each position, by the largest one in the list."""
        columns = zip(*(architecture.choices for architecture in self.latencies_ms), strict=True)
        return tuple(max(column) + 1 for column in columns)

    @cached_property
    def _by_choices(self) -> dict[tuple[int, ...], Architecture]:
        return {architecture.choices: architecture for architecture in self.latencies_ms}

    def architecture(self, choices: Sequence[int]) -> Architecture | None:
        """The architecture of the list with these choices, if there is one."""
        return self._by_choices.get(tuple(choices))

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one architecture by which a network is known."""
        return architecture if self.same_as is None else self.same_as(architecture)

    def latency_ms(self, architecture: Architecture) -> float:
        """Latency in ms.

        Raises:
            InputError: an architecture that is not in the list.
        """
        latency_ms = self.latencies_ms.get(architecture)
        if latency_ms is None:
            raise InputError(f"{architecture} is not in the list of networks")
        return latency_ms

    def shuffled(self, generator: np.random.Generator) -> Iterator[Architecture]:
        """Every admissible network once, in uniformly random order."""
        for i in generator.permutation(len(self._within)):
            yield self._within[i]

    def neighbours(self, architecture: Architecture) -> Neighbours:
        """The networks one change away; in a single group where a function says which."""
        groups = (
            _one_choice_away(architecture, self.widths)
            if self.neighbours_of is None
            else [self.neighbours_of(architecture)]
        )
        within, over_budget = [], 0
        for group in groups:
            listed = (other for other in group if other in self.latencies_ms)
            different = [a for a in dict.fromkeys(map(self.canonical, listed)) if a != architecture]
            kept = tuple(a for a in different if self.latency_ms(a) <= self.budget_ms)
            over_budget += len(different) - len(kept)
            if kept:
                within.append(kept)
        return Neighbours(tuple(within), over_budget)

    def features(self, architectures: Sequence[Architecture]) -> FloatArray:
        """Numbers that describe networks to a predictor, shape ``(architectures, features)``."""
        if self.described_by is not None:
            return self.described_by(architectures)
        return one_hot(architectures, self.widths)


def admissible_within(
    latency: SpaceLatency, budget_ms: float, described_by: Features | None = None
) -> Admissible:
    """The networks of a space that are within a budget.

    Args:
        latency: of the space.
        budget_ms: in ms.
        described_by: numbers a predictor goes by; ``None`` takes which choice is made where.

    Raises:
        BudgetError: no network is within the budget; names the fastest.
        InputError: a budget that is not a number.
    """
    if isinstance(latency, LatencyMatrix):
        return ChainAdmissible(latency, budget_ms, described_by)
    latency.check_budget(budget_ms)
    return ListAdmissible(
        latency.latencies_ms,
        budget_ms,
        same_as=latency.space.representative,
        described_by=described_by,
    )


def _one_choice_away(start: Architecture, widths: Sequence[int]) -> list[list[Architecture]]:
    """The architectures that differ in one choice, a group for each position."""
    choices = start.choices
    return [
        [
            Architecture(start.space, (*choices[:i], j, *choices[i + 1 :]))
            for j in range(width)
            if j != choices[i]
        ]
        for i, width in enumerate(widths)
    ]
