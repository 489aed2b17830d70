from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from devices.errors import BudgetError
from search.architecture import Architecture
from search.derive import derive
from search.expected_latency import LatencyMatrix
from search.finalists import Derive, draw_finalists
from search.pricing import FloatArray
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny()
PRICES = [np.random.default_rng(0).uniform(0.05, 0.5, width) for width in SPACE.widths]
MATRIX = LatencyMatrix(SPACE, 0.1, tuple(map(tuple, PRICES)))
MIDDLE_MS = (MATRIX.fastest()[1] + MATRIX.slowest()[1]) / 2


def logs(preference: float) -> list[FloatArray]:
    """Every block prefers its first candidates."""
    return [-preference * np.arange(width, dtype=np.float64) for width in SPACE.widths]


def within(budget_ms: float) -> Derive:
    def derived(blocks: Sequence[FloatArray]) -> Architecture:
        return derive(MATRIX, blocks, budget_ms)

    return derived


def drawn(
    blocks: Sequence[FloatArray], count: int, seed: int = 0, budget_ms: float = MIDDLE_MS
) -> list[Architecture]:
    return list(draw_finalists(within(budget_ms), blocks, count, np.random.default_rng(seed)))


def test_the_likeliest_comes_first_and_all_are_different_and_within_the_budget() -> None:
    found = drawn(logs(0.5), 12)
    assert found[0] == derive(MATRIX, logs(0.5), MIDDLE_MS)
    assert len(set(found)) == len(found) == 12
    assert MATRIX.price(found).max() <= MIDDLE_MS
    assert drawn(logs(0.5), 12) == found
    assert drawn(logs(0.5), 5) == found[:5]
    assert drawn(logs(0.5), 12, seed=1)[1:] != found[1:]


def test_there_are_fewer_where_the_probabilities_are_certain() -> None:
    assert len(drawn(logs(1e3), 5, budget_ms=np.inf)) == 1


def test_without_a_limit_networks_are_drawn_by_their_probabilities() -> None:
    blocks = logs(1.0)
    counts: Counter[int] = Counter()
    for seed in range(1000):
        generator = np.random.default_rng(seed)
        _, *others = draw_finalists(within(np.inf), blocks, 2, generator)
        counts[others[0].choices[0]] += 1
    wanted = np.exp(blocks[0]) / np.exp(blocks[0]).sum()
    shares = [counts[i] / 1000 for i in range(len(wanted))]
    # Of nine blocks hardly ever all are the likeliest, which would be drawn again.
    assert shares == pytest.approx(wanted.tolist(), abs=0.05)


def test_a_budget_that_nothing_meets_is_an_error() -> None:
    with pytest.raises(BudgetError):
        list(draw_finalists(within(0.01), logs(1.0), 2, np.random.default_rng(0)))
