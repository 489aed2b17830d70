"""From the probabilities of a finished search to one architecture that is fast on several devices.

As :func:`search.derive.derive`, with a budget for each device: a multiple-choice knapsack problem
with several capacities, solved by dynamic programming over the blocks. A partial network is a point
of one latency a device and a log-probability. It is dropped where even its fastest completions are
over a budget, of one device or of a weighted mean of them; where another one is at least as good in
every respect; and where a relaxation cannot beat a network already found. Relaxations are the
linear one of each device alone, and Lagrangian ones (Fisher, 1981) of all together: for prices
``m`` of latency, not below 0,

    log p  <=  sum over blocks of max_j (log p_j - m . F_j)  +  m . budget

holds for every network within the budgets. Prices near those that make the right side least are
used. As in :mod:`search.derive` passes keep few partial networks at first, then more, until one of
them had room for all.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from devices.errors import BudgetError, InputError
from search.architecture import Architecture
from search.budget import format_ms
from search.derive import Pass, checked_log_probabilities, choices_of, derive
from search.expected_latency import Limit
from search.pricing import FloatArray

_SLACK = 1e-12
_BEAMS = (256, 2_048, 16_384, 65_536)
_RIVALS = 512
"""How many of the most promising partial networks the others are compared with."""
_FACTORS = (4.0, 2.0, 1.4, 1.1, 1.02)
"""Steps of the search for good prices, from coarse to fine."""

_logger = logging.getLogger("lutier.search")


def derive_several(
    limits: Sequence[Limit], log_probabilities: Sequence[npt.ArrayLike]
) -> Architecture:
    """The likeliest architecture that is within every budget. Exact.

    Where 65,536 partial networks were not room enough, the best network found is returned, and a
    warning of the logger ``lutier.search`` says by how much, at most, its log-probability is below
    the highest.

    Args:
        limits: latencies of one space and budgets, at least one.
        log_probabilities: for each block an array ``(candidates,)``, natural logarithms.

    Raises:
        BudgetError: no architecture is within all budgets.
        InputError: latencies of different spaces, not one finite number for each candidate, or a
            budget that is not a number.
    """
    first = check_limits(limits)
    if len(limits) == 1:
        return derive(first.matrix, log_probabilities, first.budget_ms)
    space = first.matrix.space
    problem = _Problem(limits, checked_log_probabilities(space, log_probabilities))
    best = Pass((), -np.inf, False)
    for beam in _BEAMS:
        found = problem.run(beam, best.value)
        best = found if found.value > best.value else best
        if found.is_exact or best.value >= problem.limit - problem.slack_value:
            break
    else:
        if best.choices:
            _logger.warning(
                "%s: the likeliest network within %d budgets is only known to within %.1e of its"
                " log-probability",
                space.name,
                len(limits),
                problem.limit - best.value,
            )
    if not best.choices:
        raise _hopeless(limits)
    return space.architecture(best.choices)


def check_limits(limits: Sequence[Limit]) -> Limit:
    """The first of several limits, each of which some network of the space meets.

    Raises:
        BudgetError: not even the fastest network is within one of the budgets, or there is none
            within all of them.
        InputError: no limit, latencies of different spaces, or a budget that is not a number.
    """
    if not limits:
        raise InputError("no latency budget", "there is nothing to meet")
    first = limits[0]
    for limit in limits:
        if limit.matrix.space != first.matrix.space:
            raise InputError(
                f"latencies of {limit.matrix.space.name} beside those of {first.matrix.space.name}",
                "a network is of one space",
            )
        limit.matrix.check_budget(limit.budget_ms)
    if len(limits) > 1:
        # Any network will do, so fast ones are looked for.
        problem = _Problem(limits, _haste(limits))
        for beam in _BEAMS:
            found = problem.run(beam, -np.inf)
            if found.choices:
                break
            if found.is_exact:
                raise _hopeless(limits)
    return first


def _haste(limits: Sequence[Limit]) -> list[FloatArray]:
    """Negative latency as a share of the budgets, of each candidate."""
    budgets_ms = np.array([abs(limit.budget_ms) or 1.0 for limit in limits])
    blocks = zip(*(limit.matrix.block_ms for limit in limits), strict=True)
    return [-(np.array(block).T / budgets_ms).sum(1) for block in blocks]


def _hopeless(limits: Sequence[Limit]) -> BudgetError:
    first, second = limits[0], limits[1]
    budgets = " and ".join(format_ms(limit.budget_ms) for limit in limits)
    slow = [-np.array(block) for block in second.matrix.block_ms]
    fastest = derive(first.matrix, slow, first.budget_ms)
    least_ms = float(second.matrix.price([fastest])[0])
    return BudgetError(
        f"no network of {first.matrix.space.name} meets {budgets} together",
        f"within the first budget the fastest on the second device takes {format_ms(least_ms)}",
        "a wider budget for one of the devices",
    )


class _Problem:
    """A multiple-choice knapsack with several capacities; ``k`` below counts devices.

    Attributes:
        limit: no network within the budgets has a larger value.
    """

    def __init__(self, limits: Sequence[Limit], value: list[FloatArray]) -> None:
        self.value = value
        self.constant_ms = np.array([limit.matrix.constant_ms for limit in limits])
        self.budget_ms = np.array([limit.budget_ms for limit in limits])
        self.latency_ms = [
            np.array(block).T
            for block in zip(*(limit.matrix.block_ms for limit in limits), strict=True)
        ]
        sizes_ms = sum(np.abs(block).max(0) for block in self.latency_ms)
        self.slack_ms = _SLACK * (np.abs(self.constant_ms) + np.abs(self.budget_ms) + sizes_ms)
        self.slack_value = 1e3 * _SLACK * (1 + sum(float(np.abs(block).max()) for block in value))
        self.spare_ms = self.budget_ms - self.constant_ms + self.slack_ms
        # Weighted means of the devices' latencies: (weights, k), and what the blocks from each on
        # take at least of each mean, (weights,).
        self.weights = _weights(len(limits)) / np.maximum(self.spare_ms, 1e-300)
        self.least = _from_the_end([(self.weights @ ms.T).min(1) for ms in self.latency_ms])
        # Prices of latency: (prices, k), and what the blocks from each on are worth, (prices,).
        best = self._best_prices()
        around = [best]
        for factor, k in itertools.product((0.5, 0.7, 0.85, 1.2, 1.4, 2.0), range(len(best))):
            around.append(best.copy())
            around[-1][k] *= factor
        around += [best * factor for factor in (0.0, 0.5, 0.8, 1.25, 2.0)]
        self.prices = np.unique(np.array(around), axis=0)
        self.worth = self._worth(self.prices)
        self.limit = float((self.worth[0] + self.prices @ self.spare_ms).min())

    def _worth(self, prices: FloatArray) -> list[FloatArray]:
        blocks = zip(self.value, self.latency_ms, strict=True)
        return _from_the_end([(value - prices @ ms.T).max(1) for value, ms in blocks])

    def _best_prices(self) -> FloatArray:
        """Prices that make the bound of all networks small, by a pattern search."""
        spread = sum(float(np.ptp(value)) for value in self.value)
        spread_ms = sum(np.ptp(ms, axis=0) for ms in self.latency_ms)
        unit = spread / np.where(spread_ms > 0, spread_ms, np.inf)
        count = len(unit)
        found = unit.copy()
        lowest = self._bound(found[None])[0]
        for factor in _FACTORS:
            for _ in range(40):
                powers = np.array(list(itertools.product((-1, 0, 1), repeat=min(count, 4))))
                trial = np.tile(found, (len(powers), 1))
                trial[:, : powers.shape[1]] *= factor**powers
                for k in range(powers.shape[1], count):
                    step = np.tile(found, (2, 1))
                    step[:, k] *= factor ** np.array([-1, 1])
                    trial = np.vstack([trial, step])
                bounds = self._bound(trial)
                if bounds.min() >= lowest:
                    break
                found, lowest = trial[bounds.argmin()], bounds.min()
        # A budget that does not bind has no price.
        for k in range(count):
            free = found.copy()
            free[k] = 0
            if self._bound(free[None])[0] < lowest:
                found, lowest = free, self._bound(free[None])[0]
        return found

    def _bound(self, prices: FloatArray) -> FloatArray:
        bound: FloatArray = self._worth(prices)[0] + prices @ self.spare_ms
        return bound

    def run(self, beam: int, best: float) -> Pass:
        """Build networks block by block, keeping the ``beam`` most promising partial ones.

        Args:
            beam: how many partial networks to keep after each block.
            best: value of a network known to be admissible; what cannot beat it is dropped.
        """
        total_ms, total = self.constant_ms[None], np.zeros(1)
        trail: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
        is_exact = True
        for b, (latency_ms, value) in enumerate(zip(self.latency_ms, self.value, strict=True), 1):
            # Sums run from the first block to the last, as in LatencyMatrix.price.
            next_ms = (total_ms[:, None] + latency_ms).reshape(-1, len(self.constant_ms))
            next_total = (total[:, None] + value).ravel()
            left_ms = self.budget_ms - next_ms + self.slack_ms
            fits = (left_ms @ self.weights.T >= self.least[b] - _SLACK).all(1)
            kept = np.flatnonzero(fits)
            bound = next_total[kept] + (self.worth[b] + left_ms[kept] @ self.prices.T).min(1)
            promising = bound >= best - self.slack_value
            kept, bound = kept[promising], bound[promising]
            order = np.argsort(-bound, kind="stable")
            kept = kept[order]
            kept = kept[_undominated(next_ms[kept], next_total[kept])]
            if len(kept) > beam:
                is_exact = False
                kept = kept[:beam]
            trail.append((kept // len(value), kept % len(value)))
            total_ms, total = next_ms[kept], next_total[kept]
        admissible = np.flatnonzero((total_ms <= self.budget_ms).all(1))
        if not len(admissible):
            return Pass((), -np.inf, is_exact)
        state = int(admissible[np.argmax(total[admissible])])
        result = float(total[state])
        return Pass(choices_of(trail, state), result, is_exact)


def _from_the_end(blocks: list[FloatArray]) -> list[FloatArray]:
    """Sums of the blocks from each one on; after the last there is nothing."""
    sums = [np.zeros_like(blocks[0])]
    for block in reversed(blocks):
        sums.append(sums[-1] + block)
    return sums[::-1]


def _weights(count: int) -> FloatArray:
    """Weights of means of ``count`` devices, ``(n, count)``: each alone, and pairs mixed."""
    rows = list(np.eye(count))
    for one, other in itertools.combinations(np.eye(count), 2):
        rows += [share * one + (1 - share) * other for share in np.linspace(0.1, 0.9, 9)]
    rows.append(np.full(count, 1 / count))
    return np.array(rows)


def _undominated(latency_ms: FloatArray, value: FloatArray) -> npt.NDArray[np.intp]:
    """Indices of partial networks that none of the first few is at least as good as.

    What is left may still hold some that another one is better than: that costs time, not truth.

    Args:
        latency_ms: on each device, ``(n, k)``.
        value: ``(n,)``.
    """
    points = np.column_stack([latency_ms, -value])
    kept = np.arange(len(points))
    first = 0
    # Rivals are what is still there, in order, a few at a time.
    while first < min(len(kept), _RIVALS):
        rivals = kept[first : first + 32]
        better = np.ones((len(kept), len(rivals)), bool)
        for column in points.T:
            better &= column[rivals] <= column[kept, None]
        # One of several equal ones stays, the first.
        equal_later = better & (rivals >= kept[:, None])
        for column in points.T:
            equal_later &= column[rivals] == column[kept, None]
        dropped = np.asarray((better & ~equal_later).any(1))
        first += int((~dropped[first : first + 32]).sum())
        kept = kept[~dropped]
    return kept
