"""From the probabilities of a finished search to one architecture.

ProxylessNAS takes the likeliest candidate of each block, and hopes the network is fast enough.
:func:`derive` takes the likeliest network among those that are within the budget, exactly: a
multiple-choice knapsack problem, solved by dynamic programming over the blocks. A partial network
is dropped where another one is at least as fast and as likely, where even its fastest completion
is over the budget, and where its linear relaxation (Sinha and Zoltners, 1979) cannot beat a network
already found. To find a good network early, only the most promising partial ones are kept at first;
the passes grow until one of them had room for all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from search.architecture import Architecture
from search.expected_latency import LatencyMatrix
from search.pricing import FloatArray
from search.spaces.base import ChainSpace

# Rounding of bounds, relative to the sums they are compared with. The sums of partial networks
# themselves are compared exactly.
_SLACK = 1e-12
_BEAMS = (256, 2_048, 16_384, 131_072)

_logger = logging.getLogger("lutier.search")


def argmax(
    space: ChainSpace | LatencyMatrix, log_probabilities: Sequence[npt.ArrayLike]
) -> Architecture:
    """The likeliest architecture, whatever its latency: the likeliest candidate of each block.

    What ProxylessNAS (Cai, Zhu, Han, ICLR 2019, section 3.2) keeps after the search. Of equally
    likely candidates the first is taken.

    Args:
        space: the space, or its latency matrix.
        log_probabilities: for each block an array ``(candidates,)``, natural logarithms.

    Raises:
        InputError: not one finite number for each candidate.
    """
    chain = space.space if isinstance(space, LatencyMatrix) else space
    blocks = checked_log_probabilities(chain, log_probabilities)
    return chain.architecture([int(np.argmax(block)) for block in blocks])


def derive(
    matrix: LatencyMatrix, log_probabilities: Sequence[npt.ArrayLike], budget_ms: float
) -> Architecture:
    """The likeliest architecture whose predicted latency is within the budget. Exact.

    Admissible is what ``matrix.price`` puts at or below the budget. Of equally likely
    architectures the fastest is taken.

    Log-probabilities that are a linear function of the latencies, to six digits or more, leave
    millions of partial networks that no bound tells apart. After 131,072 of them the best network
    found is returned, and a warning of the logger ``lutier.search`` says by how much, at most, its
    log-probability is below the highest (a ten-thousandth or so).

    Args:
        matrix: latencies of the space.
        log_probabilities: for each block an array ``(candidates,)``, natural logarithms.
        budget_ms: in ms.

    Raises:
        BudgetError: no architecture is within the budget; names the fastest.
        InputError: not one finite number for each candidate, or a budget that is not a number.
    """
    blocks = checked_log_probabilities(matrix.space, log_probabilities)
    matrix.check_budget(budget_ms)
    problem = _Problem(matrix, blocks, budget_ms)
    fastest, _ = matrix.fastest()
    value = sum(float(block[j]) for block, j in zip(blocks, fastest.choices, strict=True))
    best = Pass(fastest.choices, value, False)
    for beam in _BEAMS:
        found = problem.run(beam, best.value)
        best = found if found.value >= best.value else best
        if found.is_exact:
            break
    else:
        _logger.warning(
            "%s: log-probabilities follow latencies so closely that the likeliest network within "
            "%.6g ms is only known to within %.1e of its log-probability",
            matrix.space.name,
            budget_ms,
            problem.limit - best.value,
        )
    return matrix.space.architecture(best.choices)


def checked_log_probabilities(
    space: ChainSpace, log_probabilities: Sequence[npt.ArrayLike]
) -> list[FloatArray]:
    """Log-probabilities as arrays, one ``(candidates,)`` for each block.

    Raises:
        InputError: not one finite number for each candidate.
    """
    blocks = [np.asarray(block, dtype=np.float64) for block in log_probabilities]
    shapes = tuple(block.shape for block in blocks)
    if shapes != tuple((width,) for width in space.widths):
        raise InputError(
            f"log-probabilities of shapes {shapes}",
            f"{space.name} has blocks of {space.widths} candidates",
        )
    for i, block in enumerate(blocks):
        if not np.isfinite(block).all():
            raise InputError(
                f"log-probabilities of block {i}: {block.tolist()}",
                "not all finite",
                "torch.log_softmax, which does not round a small probability to zero",
            )
    return blocks


def _hull(latency_ms: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Upper concave hull of a block's candidates, from the fastest to the likeliest."""
    points: list[tuple[float, float]] = []
    for i in np.lexsort((-value, latency_ms)):
        x, y = float(latency_ms[i]), float(value[i])
        if points and y <= points[-1][1]:
            continue
        while len(points) > 1:
            (x0, y0), (x1, y1) = points[-2:]
            if (y1 - y0) * (x - x1) > (y - y1) * (x1 - x0):
                break
            points.pop()
        points.append((x, y))
    hull = np.array(points)
    return hull[:, 0], hull[:, 1]


@dataclass(frozen=True)
class Pass:
    """What one pass over the blocks found; exact where nothing was dropped for want of room."""

    choices: tuple[int, ...]
    value: float
    is_exact: bool


class _Problem:
    """A multiple-choice knapsack with the linear relaxation of every run of last blocks.

    ``bound_ms[k]`` and ``bound_value[k]`` are the corners of a concave, piecewise linear function:
    the largest value the blocks from ``k`` on can have, were candidates divisible, within a
    latency.
    """

    def __init__(self, matrix: LatencyMatrix, value: list[FloatArray], budget_ms: float) -> None:
        self.constant_ms = matrix.constant_ms
        self.latency_ms = [np.array(block) for block in matrix.block_ms]
        self.value = value
        self.budget_ms = budget_ms
        start_ms = start_value = 0.0
        steps_ms, steps_value = np.empty(0), np.empty(0)
        self.bound_ms, self.bound_value = [np.zeros(1)], [np.zeros(1)]
        for latency_ms, block in zip(reversed(self.latency_ms), reversed(value), strict=True):
            x, y = _hull(latency_ms, block)
            start_ms, start_value = start_ms + x[0], start_value + y[0]
            steps_ms = np.append(steps_ms, np.diff(x))
            steps_value = np.append(steps_value, np.diff(y))
            with np.errstate(over="ignore"):
                order = np.argsort(-steps_value / steps_ms, kind="stable")
            steps_ms, steps_value = steps_ms[order], steps_value[order]
            self.bound_ms.append(np.cumsum(np.append(start_ms, steps_ms)))
            self.bound_value.append(np.cumsum(np.append(start_value, steps_value)))
        self.bound_ms.reverse()
        self.bound_value.reverse()
        sizes_ms = [np.abs(block).max() for block in self.latency_ms]
        self.slack_ms = _SLACK * (abs(self.constant_ms) + abs(budget_ms) + sum(sizes_ms))
        self.slack_value = _SLACK * sum(float(np.abs(block).max()) for block in value)

    @property
    def limit(self) -> float:
        """No admissible network has a larger value: the linear relaxation of all blocks."""
        left_ms = self.budget_ms - self.constant_ms + self.slack_ms
        return float(np.interp(left_ms, self.bound_ms[0], self.bound_value[0]))

    def run(self, beam: int, best: float) -> Pass:
        """Build networks block by block, keeping the ``beam`` most promising partial ones.

        Args:
            beam: how many partial networks to keep after each block.
            best: value of a network known to be admissible; what cannot reach it is dropped.
        """
        total_ms, total = np.array([self.constant_ms]), np.zeros(1)
        trail: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
        is_exact = True
        for k, (latency_ms, value) in enumerate(zip(self.latency_ms, self.value, strict=True), 1):
            # Sums run from the first block to the last, as in LatencyMatrix.price.
            next_ms = (total_ms[:, None] + latency_ms).ravel()
            next_total = (total[:, None] + value).ravel()
            # The slack goes into the latency, since a steep bound magnifies its rounding.
            left_ms = self.budget_ms - next_ms + self.slack_ms
            bound = next_total + np.interp(left_ms, self.bound_ms[k], self.bound_value[k])
            fits = left_ms >= self.bound_ms[k][0]
            kept = np.flatnonzero(fits & (bound >= best - self.slack_value))
            kept = kept[np.lexsort((-next_total[kept], next_ms[kept]))]
            if len(kept) > 1:
                record = np.maximum.accumulate(next_total[kept])
                kept = kept[np.append(True, next_total[kept][1:] > record[:-1])]
            if len(kept) > beam:
                is_exact = False
                kept = np.sort(kept[np.argpartition(-bound[kept], beam)[:beam]])
            trail.append((kept // len(value), kept % len(value)))
            total_ms, total = next_ms[kept], next_total[kept]
        admissible = np.flatnonzero(total_ms <= self.budget_ms)
        if not len(admissible):
            return Pass((), -np.inf, is_exact)
        state = int(admissible[np.argmax(total[admissible])])
        result = float(total[state])
        return Pass(choices_of(trail, state), result, is_exact)


def choices_of(
    trail: Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]], state: int
) -> tuple[int, ...]:
    """The choices that led to a state of the last block, the first block's first.

    Args:
        trail: for each block, of each state the one before it and the candidate taken.
        state: of the last block.
    """
    choices: list[int] = []
    for parents, taken in reversed(trail):
        choices.append(int(taken[state]))
        state = int(parents[state])
    return tuple(reversed(choices))
