"""Several proxies as one, by the ranks they give networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from devices.errors import InputError

FloatArray = npt.NDArray[np.float64]


def rank_sum(scores: Sequence[FloatArray]) -> FloatArray:
    """The mean of the ranks that several proxies give, from above 0 to 1, 1 for the best.

    Args:
        scores: of each proxy the figures of all networks, shape ``(networks,)``, larger is better
            (:meth:`~search.proxies.base.Proxy.better`); NaN where it failed.

    Returns:
        Shape ``(networks,)``; NaN for a network that a proxy failed on.

    Raises:
        InputError: no proxy, or proxies of different numbers of networks.
    """
    mean: FloatArray = _ranks(scores).mean(0)
    return mean


def rank_product(scores: Sequence[FloatArray]) -> FloatArray:
    """The same with the mean logarithm of the ranks: one bad rank outweighs several good ones.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, equation of the non-linear ranking aggregation.
    """
    mean: FloatArray = np.log(_ranks(scores)).mean(0)
    return mean


def _ranks(scores: Sequence[FloatArray]) -> FloatArray:
    """Ranks over the number of networks ranked, shape ``(proxies, networks)``; ties share theirs.

    Networks that a proxy failed on are ranked by none.
    """
    if not len(scores) or len({np.shape(score) for score in scores}) != 1:
        shapes = [np.shape(score) for score in scores]
        raise InputError(f"scores of shapes {shapes} to rank", "one figure a network and proxy")
    table = np.array(scores, dtype=np.float64)
    ranked = np.isfinite(table).all(0)
    ranks = np.full(table.shape, np.nan)
    if ranked.any():
        ranks[:, ranked] = rankdata(table[:, ranked], axis=1) / ranked.sum()
    return ranks
