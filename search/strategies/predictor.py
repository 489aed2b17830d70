"""Search guided by a predictor: learn values from the networks so far, evaluate what promises most.

Few labels, many predictions, as in White, Neiswanger, Savani: "BANANAS", AAAI 2021, and Wen et al.:
"Neural Predictor for Neural Architecture Search", ECCV 2020. A Bayesian ridge or a Gaussian process
on the features of the networks (by default which candidate each block has) says mean and spread of
each network's value. Of a pool of admissible networks, drawn uniformly, and of the neighbours of
the best ones, the one of largest expected improvement is evaluated (Jones, Schonlau, Welch:
"Efficient Global Optimization", Journal of Global Optimization, 1998)::

    EI = (mean - best) * Phi(z) + spread * phi(z),   z = (mean - best) / spread
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from devices.errors import UnknownNameError
from search.architecture import Architecture
from search.pricing import FloatArray
from search.strategies.admissible import Admissible
from search.strategies.base import Ledger, Strategy, strangers
from search.train_config import require_positive

MODELS = ("ridge", "gp")


@dataclass(frozen=True)
class PredictorSearch(Strategy):
    """Expected improvement over a pool of admissible networks.

    Attributes:
        model: ``ridge``, Bayesian ridge regression, or ``gp``, a Gaussian process.
        initial: random networks that are evaluated first.
        pool: networks drawn from the admissible set to choose from.
        renewed: how many of the pool, those that promise least, give way to others each time.
        parents: best networks whose neighbours are candidates too.

    Raises:
        UnknownNameError: no such model.
        InputError: a number not above zero.
    """

    model: str = "ridge"
    initial: int = 12
    pool: int = 512
    renewed: int = 64
    parents: int = 3

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UnknownNameError.of("model", self.model, MODELS)
        require_positive(
            initial=self.initial, pool=self.pool, renewed=self.renewed, parents=self.parents
        )

    @property
    def name(self) -> str:
        """``predictor-ridge`` or ``predictor-gp``."""
        return f"predictor-{self.model}"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Random networks, then those of largest expected improvement."""
        fresh = strangers(admissible, ledger, generator)
        yield from islice(fresh, self.initial)
        pool: list[Architecture] = []
        aside: deque[Architecture] = deque()
        while True:
            pool = [architecture for architecture in pool if ledger.is_open(architecture)]
            pool += islice(fresh, self.pool - len(pool))
            # Networks that gave way come back when no others are left.
            while len(pool) < self.pool and aside:
                architecture = aside.popleft()
                if ledger.is_open(architecture):
                    pool.append(architecture)
            candidates = list(dict.fromkeys([*self._around(admissible, ledger), *pool]))
            if not candidates:
                return
            promise = self._promise(admissible, ledger, candidates)
            yield candidates[int(np.argmax(promise))]
            rank = dict(zip(candidates, promise.tolist(), strict=True))
            pool.sort(key=rank.__getitem__, reverse=True)
            kept = max(self.pool - self.renewed, 0)
            aside.extend(pool[kept:])
            del pool[kept:]

    def _around(self, admissible: Admissible, ledger: Ledger) -> list[Architecture]:
        """Neighbours of the best networks that may be evaluated."""
        best = sorted(ledger.history, key=lambda one: -one.score)[: self.parents]
        around: list[Architecture] = []
        for parent in best:
            neighbours = admissible.neighbours(parent.architecture)
            ledger.refuse("over budget", neighbours.over_budget)
            for group in neighbours.within:
                around += ledger.only_open(group)
        return around

    def _promise(
        self, admissible: Admissible, ledger: Ledger, candidates: Sequence[Architecture]
    ) -> FloatArray:
        """Expected improvement of each candidate, shape ``(candidates,)``."""
        known = [one.value for one in ledger.history if one.value is not None]
        if len(set(known)) < 2:
            # Nothing to tell networks apart by: the first is as good as any.
            return np.zeros(len(candidates))
        # A failure is worth no more than the worst that did not fail.
        values = np.array(
            [min(known) if one.value is None else one.value for one in ledger.history]
        )
        features = admissible.features([one.architecture for one in ledger.history])
        mean, spread = _predicted(self.model, features, values, admissible.features(candidates))
        return expected_improvement(mean, spread, max(known))


def _predicted(
    model: str, features: FloatArray, values: FloatArray, of: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of the values of other networks, in the units of ``values``."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.linear_model import BayesianRidge
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    centre, scale = values.mean(), values.std()
    regressor: Any = BayesianRidge()
    if model == "gp":
        length = math.sqrt(features.shape[1])
        kernel = ConstantKernel(1.0) * RBF(length, (0.1 * length, 100 * length))
        regressor = GaussianProcessRegressor(kernel + WhiteKernel(0.1, (1e-6, 1.0)))
    with warnings.catch_warnings():
        # A length at the end of its range is a fit like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(scaler.transform(features), (values - centre) / scale)
    mean, spread = regressor.predict(scaler.transform(of), return_std=True)
    return centre + scale * mean, scale * spread


def expected_improvement(mean: FloatArray, spread: FloatArray, best: float) -> FloatArray:
    """By how much values exceed the best so far on the average, where they do.

    Args:
        mean: of each value, shape ``(n,)``.
        spread: standard deviation of each, 0 or more.
        best: the largest value so far.

    Returns:
        Shape ``(n,)``, never below 0.
    """
    from scipy.special import ndtr

    gain = mean - best
    # Beyond 40 standard deviations both functions are what they are in the limit.
    z = np.clip(gain / np.maximum(spread, 1e-300), -40, 40)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    improvement: FloatArray = np.maximum(gain * ndtr(z) + spread * density, 0.0)
    return improvement
