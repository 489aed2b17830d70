"""LatencyRegressor: from sizes to a latency, as a scikit-learn regressor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Kernel, WhiteKernel
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from latency_models.base import FloatArray

Rows = npt.NDArray[np.int64]

_MAX_ITERATIONS = 100
# The limit is a setting of the whole process: two fits that overlapped would restore each other's.
_ONE_THREAD = threading.RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Fit on one thread.

    A library that spreads products of small matrices, or small trees, over threads takes many
    times longer for it where cores are shared, and adds up in another order on another machine.
    """
    with _ONE_THREAD, threadpool_limits(limits=1):
        yield


class PositiveRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """What regressors of latencies share: all that they are fitted to is positive."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _validated(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Inputs and latencies as arrays; errors as :meth:`LatencyRegressor.fit` says."""
        rows, target = validate_data(self, x, y, y_numeric=True, dtype=np.float64)
        latencies = np.asarray(target, dtype=np.float64)
        if not (latencies > 0).all():
            raise ValueError("a latency is not positive")
        return rows, latencies


class LatencyRegressor(PositiveRegressor):
    """Predicts a positive quantity from sizes and counts, on logarithmic scales.

    Inputs are brought to a logarithmic scale from 1 on (``x`` below, ``1 + log x`` above) and
    standardised; the target is a logarithm. On that scale most of an op's latency is linear (a
    power law of its sizes), and what is left is smooth. So the model is a Gaussian process
    (Rasmussen and Williams, 2006, chapters 2 and 5) whose kernel is a linear one, plus an
    anisotropic RBF, plus white noise; away from the data the power law carries on where an RBF
    alone would fall back to the mean.

    A Gaussian process costs the cube of its rows, so above ``max_rows`` it is fitted to that many
    of them, drawn by ``random_state``. On simulated blocks that is still nearer than boosted trees
    fitted to all. Its hyperparameters maximise the marginal likelihood of at most
    ``max_hyper_rows`` of these.

    Args:
        max_rows: most rows that are fitted to.
        max_hyper_rows: most rows whose marginal likelihood is maximised.
        n_restarts: further starts of that maximisation, at random hyperparameters.
        random_state: seed of everything drawn at random.

    Attributes:
        n_rows_: how many rows it was fitted to.
        scaler_: standardises the logarithms of the inputs.
        process_: the fitted Gaussian process.
        n_features_in_: number of inputs.
    """

    def __init__(
        self,
        max_rows: int = 1500,
        max_hyper_rows: int = 300,
        n_restarts: int = 0,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.max_rows = max_rows
        self.max_hyper_rows = max_hyper_rows
        self.n_restarts = n_restarts
        self.random_state = random_state

    # scikit-learn's convention names the matrix X.
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:  # noqa: N803
        """Fit to measured latencies.

        Args:
            X: sizes and counts, shape ``(n, features)``.
            y: latencies, all positive, shape ``(n,)``.

        Raises:
            ValueError: shapes that differ, values that are not finite, a latency that is not
                positive (scikit-learn's contract).
        """
        x, latencies = self._validated(X, y)
        random = check_random_state(self.random_state)
        rows = _draw(np.arange(len(x)), self.max_rows, random)
        self.n_rows_ = len(rows)
        with one_thread():
            self.scaler_ = StandardScaler().fit(log_scale(x[rows]))
            inputs = self.scaler_.transform(log_scale(x[rows]))
            target = np.log(latencies[rows])
            self.process_ = _process(self._best_kernel(inputs, target, random)).fit(inputs, target)
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Latency of each row, in the unit of the fitted ones.

        Args:
            X: sizes and counts, shape ``(n, features)``.

        Returns:
            Positive values, shape ``(n,)``: the median of the predictive distribution.
        """
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        predicted: FloatArray = np.exp(self.process_.predict(self.scaler_.transform(log_scale(x))))
        return predicted

    def _best_kernel(
        self, inputs: FloatArray, target: FloatArray, random: np.random.RandomState
    ) -> Kernel:
        """The kernel of greatest marginal likelihood.

        Maximised here and not by the process: there only a process-wide warning filter would keep
        it quiet about an input that turns out not to matter.
        """
        rows = _draw(np.arange(len(inputs)), self.max_hyper_rows, random)
        process = _process(_kernel(inputs.shape[1])).fit(inputs[rows], target[rows])
        return _best_hyperparameters(process, self.n_restarts, random)


def _draw(rows: Rows, most: int, random: np.random.RandomState) -> Rows:
    """All rows, or the most wanted of them at random, in order."""
    if len(rows) <= most:
        return rows
    drawn: Rows = np.sort(random.choice(rows, most, replace=False))
    return drawn


def log_scale(x: FloatArray) -> FloatArray:
    """``x`` up to 1 in size and ``1 + log x`` from there, so that 0 and 1 stay apart."""
    size = np.abs(x)
    logarithms: FloatArray = np.where(size <= 1, x, np.sign(x) * (1 + np.log(np.maximum(size, 1))))
    return logarithms


def _kernel(features: int) -> Kernel:
    return (
        ConstantKernel(1.0, (1e-2, 1e3)) * RBF(np.full(features, 3.0), (1e-1, 1e3))
        + ConstantKernel(1.0, (1e-3, 1e3)) * DotProduct(1.0, (1e-2, 1e2))
        + WhiteKernel(1e-3, (1e-6, 1.0))
    )


def _process(kernel: Kernel) -> GaussianProcessRegressor:
    return GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)


def _best_hyperparameters(
    process: GaussianProcessRegressor, n_restarts: int, random: np.random.RandomState
) -> Kernel:
    """The kernel that maximises the marginal likelihood of what the process was fitted to."""
    bounds = process.kernel_.bounds

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = process.log_marginal_likelihood(
            theta, eval_gradient=True, clone_kernel=False
        )
        return -value, -gradient

    starts = [process.kernel_.theta.copy()]
    starts += [random.uniform(bounds[:, 0], bounds[:, 1]) for _ in range(n_restarts)]
    options = {"maxiter": _MAX_ITERATIONS}
    found = [
        minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.fun))
    return process.kernel_.clone_with_theta(best.x)
