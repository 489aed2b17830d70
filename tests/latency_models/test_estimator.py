from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator
from threadpoolctl import threadpool_info

from latency_models.estimator import LatencyRegressor

Array = npt.NDArray[np.float64]


# Few rows a fit: the checks are about the contract, not about accuracy. The array API is opted
# into by estimators that name it in their tags; this one takes numpy arrays only.
CHECKS = [
    check
    for _, check in estimator_checks_generator(LatencyRegressor(max_hyper_rows=30))
    if check.func.__name__ != "check_array_api_input"
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.func.__name__)
def test_keeps_scikit_learns_contract(check: Callable[..., Any]) -> None:
    check(LatencyRegressor(max_hyper_rows=30))


def power_law(rows: int, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    x = np.exp(generator.uniform(0, 6, size=(rows, 3)))
    return x, 0.01 + 1e-4 * x[:, 0] * np.sqrt(x[:, 1])


def test_predicts_a_power_law_it_has_not_seen() -> None:
    x, y = power_law(80)
    predicted = LatencyRegressor().fit(x[:60], y[:60]).predict(x[60:])
    assert np.median(np.abs(predicted / y[60:] - 1)) < 0.03


def test_away_from_the_data_the_power_law_carries_on() -> None:
    x = np.exp(np.linspace(0, 4, 30))[:, None]
    regressor = LatencyRegressor().fit(x, 0.5 * x[:, 0])
    far = np.array([[200.0]])
    assert regressor.predict(far)[0] == pytest.approx(100, rel=0.15)


def test_same_data_and_seed_give_the_same_bits() -> None:
    x, y = power_law(60)
    make = LatencyRegressor(max_rows=40, max_hyper_rows=20, n_restarts=1, random_state=3)
    first = make.fit(x, y).predict(x)
    np.testing.assert_array_equal(first, make.fit(x, y).predict(x))


def test_fits_no_more_rows_than_it_may() -> None:
    x, y = power_law(60)
    regressor = LatencyRegressor(max_rows=25, max_hyper_rows=10).fit(x, y)
    assert regressor.n_rows_ == 25
    assert np.median(np.abs(regressor.predict(x) / y - 1)) < 0.1


def test_one_row_and_inputs_that_never_vary_predict_what_was_seen() -> None:
    one = LatencyRegressor().fit([[4.0, 2.0]], [0.3])
    assert one.predict([[4.0, 2.0]])[0] == pytest.approx(0.3, rel=1e-6)
    constant = LatencyRegressor().fit(np.ones((10, 2)), np.full(10, 0.3))
    assert constant.predict(np.ones((1, 2)))[0] == pytest.approx(0.3, rel=1e-3)


def test_a_latency_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="not positive"):
        LatencyRegressor().fit([[1.0], [2.0]], [0.1, 0.0])


def test_fitting_leaves_blas_and_numpys_generator_as_they_were() -> None:
    threads = [library["num_threads"] for library in threadpool_info()]
    state = np.random.get_state()[1]
    x, y = power_law(20)
    LatencyRegressor(max_rows=15, n_restarts=1).fit(x, y)
    assert [library["num_threads"] for library in threadpool_info()] == threads
    np.testing.assert_array_equal(state, np.random.get_state()[1])
