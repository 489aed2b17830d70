from __future__ import annotations

import math

import numpy as np
import pytest

from devices.errors import InputError, UntrustworthyError
from latency_models.conformal import NO_ERRORS, ConformalErrors


def errors_of(count: int, seed: int = 0, spread: float = 0.1) -> ConformalErrors:
    """Errors of predictions of 1 ms, normal on a logarithmic scale."""
    measured = np.exp(spread * np.random.default_rng(seed).standard_normal(count))
    return ConformalErrors.of(np.ones(count), measured)


def test_the_next_sample_is_within_as_often_as_was_asked() -> None:
    within, wanted = {0.8: 0, 0.9: 0}, {0.8: 0.8, 0.9: 0.9}
    for seed in range(2000):
        drawn = errors_of(41, seed)
        following = math.exp(np.random.default_rng(seed).permutation(drawn.logs)[0])
        others = list(drawn.logs)
        others.remove(math.log(following))
        known = ConformalErrors(tuple(others))
        for coverage in within:
            low, high = known.interval_ms(np.ones(1), coverage)[0]
            within[coverage] += low <= following <= high
    for coverage, count in within.items():
        assert wanted[coverage] - 0.02 < count / 2000 < wanted[coverage] + 0.04


def test_the_upper_factor_is_exceeded_as_seldom_as_was_asked() -> None:
    over = 0
    for seed in range(2000):
        drawn = np.random.default_rng(seed).permutation(errors_of(41, seed).logs)
        known = ConformalErrors(tuple(sorted(drawn[1:].tolist())))
        over += math.exp(drawn[0]) > known.upper_factor(0.9)
    assert 0.06 < over / 2000 < 0.12


def test_an_interval_lies_around_the_prediction_and_grows_with_coverage() -> None:
    errors, predicted = errors_of(100), np.array([1.0, 20.0])
    narrow, wide = errors.interval_ms(predicted, 0.5), errors.interval_ms(predicted, 0.95)
    assert narrow.shape == (2, 2)
    assert (wide[:, 0] < narrow[:, 0]).all()
    assert (narrow[:, 0] < predicted).all()
    assert (predicted < narrow[:, 1]).all()
    assert (narrow[:, 1] < wide[:, 1]).all()
    np.testing.assert_allclose(wide[1], 20 * wide[0])


def test_a_model_that_is_always_low_needs_a_factor_above_one_half_of_the_time() -> None:
    errors = ConformalErrors.of(np.ones(20), np.full(20, 1.2))
    assert errors.upper_factor(0.5) == pytest.approx(1.2)


def test_sums_of_errors_are_sorted() -> None:
    both = errors_of(5, 0) + errors_of(4, 1)
    assert len(both) == 9
    assert list(both.logs) == sorted(both.logs)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_too_few_errors_say_so(count: int) -> None:
    with pytest.raises(UntrustworthyError, match=f"of {count} samples only, 9 are needed"):
        errors_of(count).radius(0.9)


def test_as_many_as_it_says_are_enough() -> None:
    assert errors_of(9).radius(0.9) > 0


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 90.0, math.nan])
def test_a_coverage_that_cannot_be_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        errors_of(20).radius(coverage)
    with pytest.raises(InputError, match="between 0 and 1"):
        NO_ERRORS.upper_factor(coverage)
