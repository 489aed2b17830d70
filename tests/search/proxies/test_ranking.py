from __future__ import annotations

import numpy as np
import pytest

from devices.errors import InputError
from search.proxies.ranking import rank_product, rank_sum

ONE, OTHER = np.array([10.0, 20.0, 20.0, 5.0]), np.array([3.0, 1.0, 2.0, 0.0])


def test_ranks_are_averaged() -> None:
    # Ranks 2, 3.5, 3.5, 1 and 4, 2, 3, 1, over four networks.
    assert rank_sum([ONE, OTHER]).tolist() == pytest.approx([0.75, 0.6875, 0.8125, 0.25])


def test_the_product_of_ranks() -> None:
    wanted = np.log([2 * 4 / 16, 3.5 * 2 / 16, 3.5 * 3 / 16, 1 / 16]) / 2
    assert rank_product([ONE, OTHER]) == pytest.approx(wanted)


def test_a_network_that_one_proxy_failed_on_is_ranked_by_none() -> None:
    failed = np.array([3.0, np.nan, 2.0, 0.0])
    assert np.isnan(rank_sum([ONE, failed])).tolist() == [False, True, False, False]
    assert rank_sum([ONE, failed])[[0, 2, 3]] == pytest.approx(
        rank_sum([ONE[[0, 2, 3]], failed[[0, 2, 3]]])
    )


def test_all_may_fail() -> None:
    assert np.isnan(rank_product([np.full(3, np.nan)])).all()


def test_scores_that_do_not_fit_are_refused() -> None:
    for scores in ([], [ONE, OTHER[:3]]):
        with pytest.raises(InputError, match="one figure a network"):
            rank_sum(scores)
