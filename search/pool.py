"""Many different networks within a latency budget, uniformly among all there are.

A space of 10^17 architectures cannot be listed, and drawing until one fits takes for ever where
few do. So the admissible architectures are counted, on a fine grid of latencies, by dynamic
programming over the blocks, and drawn backwards from the counts. Latencies are rounded down to the
grid, so that no admissible network is missed, and a draw beyond the budget is drawn again: what is
left is uniform over exactly the admissible set.

Skipping one or another of several equal blocks in a row makes the same network. Of the
architectures of one network, only the one that skips last counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from search.architecture import Architecture
from search.budget import format_ms
from search.expected_latency import IntArray, LatencyMatrix
from search.pricing import FloatArray
from search.space_latency import LatencyList, SpaceLatency

# Sets of up to this many networks are listed instead of sampled.
_LISTED = 100_000
_LISTED_AT_MOST = 2_000_000
_CELLS = (1 << 13, 1 << 15, 1 << 17)
_DRAWS = 4_096
_LARGEST_SPACE = 10**300
# Rounding of sums of latencies, relative to the sums.
_SLACK = 1e-12

Counts = npt.NDArray[Any]  # int64 where that holds the size of the space, else float64


@dataclass(frozen=True)
class Pool:
    """Different networks of a space, all within a latency window.

    Attributes:
        architectures: all different, and no two that differ only in which of several equal blocks
            in a row they skip.
        latencies_ms: predicted latency of each in ms, shape ``(len(architectures),)``.
        admissible: how many different networks of the space are within the window, at least.
        admissible_at_most: the same, at most. The two agree where the set was listed, or is the
            whole space; otherwise they differ by what the grid cannot resolve at the window's ends.
        space_size: how many architectures the space has.
        budget_ms: upper end of the window in ms.
        floor_ms: lower end of the window in ms.
    """

    architectures: tuple[Architecture, ...]
    latencies_ms: FloatArray
    admissible: int
    admissible_at_most: int
    space_size: int
    budget_ms: float
    floor_ms: float

    @property
    def funnel(self) -> str:
        """From the space to the pool in one line."""
        exact = self.admissible == self.admissible_at_most
        return (
            f"{self.space_size:,} architectures -> {'' if exact else 'at least '}"
            f"{self.admissible:,} networks within {format_ms(self.budget_ms)} -> "
            f"{len(self.architectures):,} in the pool"
        )


def sample_pool(
    matrix: SpaceLatency,
    budget_ms: float,
    count: int,
    generator: np.random.Generator,
    floor_ms: float = 0.0,
) -> Pool:
    """Draw different networks whose predicted latency is within a window, uniformly.

    Admissible is what ``matrix.price`` puts at or below ``budget_ms`` and at or above ``floor_ms``.
    Where there are at most ``count`` such networks, all are returned, in the order of choices.

    Args:
        matrix: latencies of the space.
        budget_ms: in ms.
        count: how many networks are wanted.
        generator: the same state draws the same pool.
        floor_ms: in ms.

    Raises:
        BudgetError: no network is within the budget; names the fastest.
        InputError: a count below one; a window that holds no network, or is too narrow to count;
            a space of more than 10^300 architectures.
    """
    if count < 1:
        raise InputError(f"a pool of {count} networks", "must be at least 1")
    if matrix.space.size > _LARGEST_SPACE:
        raise InputError(f"{matrix.space.name} has more than 10^300 architectures to count")
    matrix.check_budget(budget_ms)
    slowest, slowest_ms = matrix.slowest()
    if not floor_ms <= min(budget_ms, slowest_ms):
        raise InputError(
            f"no network of {matrix.space.name} takes {floor_ms:.6g} to {budget_ms:.6g} ms",
            f"the slowest is {slowest.id}, predicted at {format_ms(slowest_ms)}",
            "a lower floor_ms",
        )
    if isinstance(matrix, LatencyList):
        return _pool_of_list(matrix, budget_ms, count, generator, floor_ms)
    for cells in _CELLS:
        grid = _Grid(matrix, floor_ms, budget_ms, cells)
        at_least, at_most = grid.count_bounds()
        if at_least >= max(_LISTED, 2 * count):
            choices = grid.drawn(count, generator)
            break
        if at_most <= max(_LISTED_AT_MOST, 16 * count):
            choices = grid.listed()
            at_least = at_most = len(choices)
            if count < len(choices):
                picked = generator.choice(len(choices), count, replace=False, shuffle=False)
                choices = choices[np.sort(picked)]
            break
    else:
        raise InputError(
            f"the networks of {matrix.space.name} that take {floor_ms:.6g} to {budget_ms:.6g} ms "
            "cannot be counted",
            f"{at_least:,} to {at_most:,} lie too close to the ends of the window",
            "a lower floor_ms, or a smaller pool",
        )
    if not len(choices):
        raise _nothing_between(matrix, floor_ms, budget_ms)
    return Pool(
        tuple(matrix.space.decode(choices)),
        matrix.price(choices),
        at_least,
        at_most,
        matrix.space.size,
        budget_ms,
        floor_ms,
    )


def _pool_of_list(
    latency: LatencyList,
    budget_ms: float,
    count: int,
    generator: np.random.Generator,
    floor_ms: float,
) -> Pool:
    """The same of a space whose networks were priced one by one."""
    within = [one for one in latency.networks if floor_ms <= latency.latencies_ms[one] <= budget_ms]
    if not within:
        raise _nothing_between(latency, floor_ms, budget_ms)
    drawn = within
    if count < len(within):
        picked = generator.choice(len(within), count, replace=False, shuffle=False)
        drawn = [within[i] for i in np.sort(picked)]
    return Pool(
        tuple(drawn),
        latency.price(drawn),
        len(within),
        len(within),
        latency.space.size,
        budget_ms,
        floor_ms,
    )


def _nothing_between(latency: SpaceLatency, floor_ms: float, budget_ms: float) -> InputError:
    return InputError(
        f"no network of {latency.space.name} takes {floor_ms:.6g} to {budget_ms:.6g} ms",
        hint="a lower floor_ms",
    )


@dataclass(frozen=True)
class _Block:
    """One block of the space, as the count sees it.

    A state of the count is a latency on the grid and whether the last block was skipped. An
    *option* is a candidate together with the block before being skipped or not; options that are
    no network of their own are left out.

    Attributes:
        excess_ms: how much slower than the fastest each candidate is, shape ``(candidates,)``.
        candidate: candidate of each option.
        before: whether the option's block before is skipped, as 0 or 1.
        skips: whether the option's candidate skips this block, as 0 or 1.
    """

    excess_ms: FloatArray
    candidate: IntArray
    before: IntArray
    skips: IntArray


def _blocks(matrix: LatencyMatrix) -> Iterator[_Block]:
    previous = None
    for block, latency_ms in zip(matrix.space.blocks, matrix.block_ms, strict=True):
        options = [
            (j, before, int(op.is_free))
            for j, op in enumerate(block)
            for before in (0, 1)
            # Among equal blocks in a row those that are skipped come last.
            if op.is_free or not before or block != previous
        ]
        candidate, before, skips = np.array(options, dtype=np.int64).T
        yield _Block(np.array(latency_ms) - min(latency_ms), candidate, before, skips)
        previous = block


class _Grid:
    """Counts of networks by latency, in ``cells`` steps from the fastest network to the budget."""

    def __init__(
        self, matrix: LatencyMatrix, floor_ms: float, budget_ms: float, cells: int
    ) -> None:
        self.matrix, self.floor_ms, self.budget_ms = matrix, floor_ms, budget_ms
        self.blocks = tuple(_blocks(matrix))
        self.is_integer = matrix.space.size < 1 << 62
        fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
        sizes_ms = [abs(ms) for block in matrix.block_ms for ms in block]
        slack_ms = _SLACK * (abs(matrix.constant_ms) + sum(sizes_ms))
        span_ms = min(budget_ms, slowest_ms) - fastest_ms + slack_ms
        self.step_ms = span_ms / cells if span_ms > 0 else 1.0
        # The rounded sum of a network's latencies lies less than `loss` cells off the truth.
        loss = len(self.blocks)
        above_ms = floor_ms - fastest_ms
        self.first = max(0, math.floor(max(above_ms - slack_ms, 0) / self.step_ms) - loss)
        self.last = cells
        self.surely_first = 0
        if above_ms > 0:
            self.surely_first = math.ceil((above_ms + slack_ms) / self.step_ms) + loss
        self.surely_last = cells + loss
        if budget_ms < slowest_ms:
            self.surely_last = math.floor((span_ms - 2 * slack_ms) / self.step_ms)
        self.costs = tuple(self._costs(block, np.floor, self.last) for block in self.blocks)
        self.prefixes = [self._start(self.last)]
        for block, costs in zip(self.blocks, self.costs, strict=True):
            self.prefixes.append(self._extended(self.prefixes[-1], block, costs))

    def _costs(self, block: _Block, rounding: np.ufunc, last: int) -> IntArray:
        """Latency of each option in cells; what is beyond the last cell is just beyond it."""
        cells = np.minimum(rounding(block.excess_ms / self.step_ms), last + 1)
        costs: IntArray = cells.astype(np.int64)[block.candidate]
        return costs

    def _start(self, last: int) -> Counts:
        """Counts before the first block, shape ``(2, last + 1)``: skipped or not, cells."""
        start: Counts = np.zeros((2, last + 1), np.int64 if self.is_integer else np.float64)
        start[0, 0] = 1
        return start

    @staticmethod
    def _extended(counts: Counts, block: _Block, costs: IntArray) -> Counts:
        extended = np.zeros_like(counts)
        size = counts.shape[1]
        for cost, before, skips in zip(costs, block.before, block.skips, strict=True):
            if cost < size:
                extended[skips, cost:] += counts[before, : size - cost]
        return extended

    def count_bounds(self) -> tuple[int, int]:
        """How many networks are within the window, at least and at most.

        Rounded up, a network that seems to be within the window is; rounded down, one that is
        seems to be.
        """
        at_most = self.prefixes[-1][:, self.first : self.last + 1].sum()
        counts = self._start(max(self.surely_last, 0))
        for block in self.blocks:
            costs = self._costs(block, np.ceil, counts.shape[1] - 1)
            counts = self._extended(counts, block, costs)
        at_least = counts[:, self.surely_first : max(self.surely_last + 1, 0)].sum()
        if self.is_integer:
            return int(at_least), int(at_most)
        return int(at_least * (1 - 1e-9)), int(at_most * (1 + 1e-9))

    def _ways(self, k: int, skipped: IntArray, cell: IntArray) -> Counts:
        """Networks behind each option of block ``k`` for each state after it.

        Args:
            k: index of the block.
            skipped: of each state, whether block ``k`` is skipped, shape ``(states,)``.
            cell: of each state, shape ``(states,)``.

        Returns:
            Counts, shape ``(states, options)``; 0 where the option does not lead to the state.
        """
        block, rest = self.blocks[k], cell[:, None] - self.costs[k]
        ways: Counts = self.prefixes[k][block.before, np.maximum(rest, 0)]
        ways[(rest < 0) | (block.skips != skipped[:, None])] = 0
        return ways

    def _admissible(self, choices: IntArray) -> IntArray:
        latency_ms = self.matrix.price(choices)
        return choices[(latency_ms >= self.floor_ms) & (latency_ms <= self.budget_ms)]

    def listed(self) -> IntArray:
        """Every admissible network, in the order of choices, shape ``(networks, blocks)``."""
        skipped, cell = np.nonzero(self.prefixes[-1][:, self.first : self.last + 1])
        cell = cell + self.first
        choices = np.zeros((len(cell), len(self.blocks)), np.int64)
        for k in reversed(range(len(self.blocks))):
            state, option = np.nonzero(self._ways(k, skipped, cell))
            choices = choices[state]
            choices[:, k] = self.blocks[k].candidate[option]
            skipped, cell = self.blocks[k].before[option], cell[state] - self.costs[k][option]
        choices = self._admissible(choices)
        return choices[np.lexsort(choices.T[::-1])]

    def _pick(self, weights: Counts, generator: np.random.Generator) -> IntArray:
        """One column of each row, with probability proportional to its weight."""
        running = weights.cumsum(axis=1)
        total = running[:, -1]
        if self.is_integer:
            ticket: npt.NDArray[np.generic] = generator.integers(0, total)
        else:
            # The largest product may be rounded up to the total itself.
            ticket = np.minimum(generator.random(len(total)) * total, np.nextafter(total, 0))
        columns: IntArray = (ticket[:, None] >= running).sum(axis=1)
        return columns

    def _draws(self, count: int, generator: np.random.Generator) -> IntArray:
        """Networks the grid takes for admissible, uniformly, shape ``(count, blocks)``."""
        final = self.prefixes[-1][:, self.first : self.last + 1]
        running = final.ravel().cumsum()
        if self.is_integer:
            ticket: npt.NDArray[np.generic] = generator.integers(0, running[-1], count)
        else:
            ticket = generator.random(count) * running[-1]
        state = np.searchsorted(running, ticket, side="right").clip(max=final.size - 1)
        skipped, cell = np.divmod(state, final.shape[1])
        cell = cell + self.first
        choices = np.zeros((count, len(self.blocks)), np.int64)
        for k in reversed(range(len(self.blocks))):
            option = self._pick(self._ways(k, skipped, cell), generator)
            choices[:, k] = self.blocks[k].candidate[option]
            skipped, cell = self.blocks[k].before[option], cell - self.costs[k][option]
        return choices

    def drawn(self, count: int, generator: np.random.Generator) -> IntArray:
        """Different admissible networks, uniformly, shape ``(count, blocks)``.

        There must be at least twice as many.
        """
        found: dict[tuple[int, ...], None] = {}
        while len(found) < count:
            draws = min(max(2 * (count - len(found)), 256), _DRAWS)
            for row in self._admissible(self._draws(draws, generator)).tolist():
                found.setdefault(tuple(row))
        return np.array(list(found)[:count], np.int64)
