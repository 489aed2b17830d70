from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.estimator_checks import estimator_checks_generator

from latency_models.estimator import LatencyRegressor
from latency_models.estimators import AdditiveRegressor, LogRegressor

ESTIMATORS = [LogRegressor(), AdditiveRegressor()]
# The array API is opted into by estimators that name it in their tags; these take numpy arrays.
CHECKS = [
    (estimator, check)
    for estimator in ESTIMATORS
    for _, check in estimator_checks_generator(estimator)
    if check.func.__name__ != "check_array_api_input"
]


@pytest.mark.parametrize(
    ("estimator", "check"),
    CHECKS,
    ids=[f"{type(one).__name__}-{check.func.__name__}" for one, check in CHECKS],
)
def test_keeps_scikit_learns_contract(estimator: Any, check: Callable[..., Any]) -> None:
    check(type(estimator)())


def test_a_linear_one_is_a_power_law() -> None:
    x = np.exp(np.random.default_rng(0).uniform(0, 6, size=(60, 2)))
    y = 0.01 * x[:, 0] ** 0.8 * x[:, 1]
    predicted = LogRegressor().fit(x[:40], y[:40]).predict(x[40:] * 3)
    np.testing.assert_allclose(predicted, y[40:] * 3**1.8, rtol=1e-3)


def test_what_it_is_given_is_fitted_to_logarithms() -> None:
    x = np.exp(np.random.default_rng(0).uniform(1, 6, size=(200, 1)))
    forest = RandomForestRegressor(20, random_state=0, monotonic_cst=[1])
    predicted = LogRegressor(forest).fit(x, 0.01 * x[:, 0]).predict(np.sort(x, axis=0))
    assert (np.diff(predicted) >= 0).all()
    np.testing.assert_allclose(predicted, 0.01 * np.sort(x[:, 0]), rtol=0.2)


def small_ops(count: int, seed: int) -> tuple[Any, Any]:
    """Ops whose latency is mostly the call: 5 us, and 1 us for a thousand of each amount."""
    generator = np.random.default_rng(seed)
    amounts = np.exp(generator.uniform(3, 10, size=(count, 2)))
    y = 5e-3 + 1e-6 * amounts.sum(axis=1)
    return np.hstack([amounts, amounts]), y


def test_a_sum_of_parts_is_found() -> None:
    x, y = small_ops(40, 0)
    regressor = AdditiveRegressor(parts=2).fit(x, y)
    np.testing.assert_allclose(regressor.costs_, [5e-3, 1e-6, 1e-6], rtol=1e-6)


def test_it_extrapolates_a_sum_better_than_a_power_law_does() -> None:
    x, y = small_ops(40, 0)
    larger, truth = 64 * x, 5e-3 + 64e-6 * x[:, :2].sum(axis=1)
    additive = AdditiveRegressor(parts=2).fit(x, y).predict(larger)
    process = LatencyRegressor().fit(x[:, :2], y).predict(larger[:, :2])
    wrong = [float(np.median(np.abs(found / truth - 1))) for found in (additive, process)]
    assert wrong[0] < 0.01
    assert wrong[0] < wrong[1] / 2


def test_no_cost_is_negative() -> None:
    generator = np.random.default_rng(0)
    x = np.exp(generator.uniform(0, 5, size=(30, 3)))
    y = 1.0 + 1 / x[:, 2]
    assert (AdditiveRegressor(parts=3).fit(x, y).costs_ >= 0).all()


@pytest.mark.parametrize("regressor", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_a_latency_of_nothing_is_refused(regressor: Any) -> None:
    with pytest.raises(ValueError, match="not positive"):
        regressor.fit([[1.0], [2.0]], [0.1, 0.0])
