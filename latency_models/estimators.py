"""The other regressors a kind of op may be given: power law, trees, and a sum of parts."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data

from latency_models.base import FloatArray
from latency_models.estimator import LatencyRegressor, PositiveRegressor, log_scale, one_thread


class LogRegressor(PositiveRegressor):
    """Any regressor, from the logarithms of sizes to the logarithm of a latency.

    With a linear one it is a power law.

    Args:
        estimator: fitted to logarithms; by default ridge regression.

    Attributes:
        estimator_: the fitted copy.
        n_features_in_: number of inputs.
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:  # noqa: N803
        """Fit to latencies, all positive; arguments and errors as for :class:`LatencyRegressor`."""
        x, latencies = self._validated(X, y)
        chosen = Ridge(alpha=1e-3) if self.estimator is None else self.estimator
        with one_thread():
            self.estimator_ = clone(chosen).fit(log_scale(x), np.log(latencies))
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Latency of each row, positive, shape ``(n,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        with one_thread():
            predicted: FloatArray = np.exp(self.estimator_.predict(log_scale(x)))
        return predicted


class AdditiveRegressor(PositiveRegressor):
    """A latency as a sum of its parts, and a Gaussian process for what the sum gets wrong.

    A call, each floating-point operation and each byte cost something, and never less than
    nothing: non-negative least squares (Lawson and Hanson, 1974) on relative errors finds how
    much. :class:`LatencyRegressor` then predicts the factor by which that is off, from the other
    inputs and from the sum itself. Where ops are so small that the call is most of what they take,
    this comes nearer than a power law.

    Args:
        parts: how many of the last inputs are amounts that add up, all at least 0.
        random_state: seed of everything drawn at random.

    Attributes:
        costs_: latency of a call, then of one of each amount.
        scale_: the smallest sum of the parts among what was fitted to.
        factor_: the fitted :class:`LatencyRegressor`.
        n_features_in_: number of inputs, amounts included.
    """

    def __init__(
        self, parts: int = 0, random_state: int | np.random.RandomState | None = 0
    ) -> None:
        self.parts = parts
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:  # noqa: N803
        """Fit to latencies, all positive; arguments and errors as for :class:`LatencyRegressor`."""
        x, latencies = self._validated(X, y)
        amounts = self._amounts(x)
        largest = amounts.max(axis=0)
        largest[largest == 0] = 1.0
        found, _ = nnls(amounts / largest / latencies[:, None], np.ones(len(latencies)))
        self.costs_ = found / largest
        sums = self._sums(x)
        self.scale_ = float(sums.min())
        self.factor_ = LatencyRegressor(random_state=self.random_state)
        self.factor_.fit(self._others(x, sums), latencies / sums)
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Latency of each row, positive, shape ``(n,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        sums = self._sums(x)
        return sums * self.factor_.predict(self._others(x, sums))

    def _amounts(self, x: FloatArray) -> FloatArray:
        last = x[:, x.shape[1] - self.parts :]
        return np.hstack([np.ones((len(x), 1)), np.abs(last)])

    def _sums(self, x: FloatArray) -> FloatArray:
        # A sum of nothing, as where no cost was found, would leave no factor to predict.
        sums: FloatArray = np.maximum(self._amounts(x) @ self.costs_, np.finfo(np.float64).tiny)
        return sums

    def _others(self, x: FloatArray, sums: FloatArray) -> FloatArray:
        return np.hstack([x[:, : x.shape[1] - self.parts], (sums / self.scale_)[:, None]])
