"""Weights of a device from a few measurements."""

from __future__ import annotations

import numpy as np
import pytest

from latency_models.transfer_basis import Basis, make_basis
from latency_models.transfer_process import NOISE_SD, Priors, posterior, votes


def basis() -> Basis:
    random = np.random.default_rng(0)
    shared = random.standard_normal((200, 1)) * 0.3
    return make_basis(shared + 0.1 * random.standard_normal((200, 5)), None)


def test_one_setting_gives_the_textbook_posterior() -> None:
    made = basis()
    random = np.random.default_rng(1)
    rows, measured = made.columns[:8], random.standard_normal(8) * 0.1
    log_weights = np.full((1, len(NOISE_SD)), -np.inf)
    log_weights[0, 3] = 0.0
    weights = posterior(made, rows, measured, Priors(((1.0, 0.0),), log_weights))
    noise = NOISE_SD[3] ** 2
    precision = np.diag(1 / made.sd(1.0, 0.0) ** 2) + rows.T @ rows / noise
    covariance = np.linalg.inv(precision)
    mean = made.mean + covariance @ rows.T @ (measured - rows @ made.mean) / noise
    np.testing.assert_allclose(weights.mean, mean, atol=1e-9)
    np.testing.assert_allclose(weights.covariance, covariance, atol=1e-9)
    assert weights.noise_variance == pytest.approx(noise)


@pytest.mark.parametrize("noise", [0.01, 0.2])
def test_noise_is_told_from_the_measurements(noise: float) -> None:
    made = basis()
    random = np.random.default_rng(2)
    measured = made.columns @ made.mean + noise * random.standard_normal(len(made.columns))
    weights = posterior(made, made.columns, measured, Priors.flat(False))
    assert noise / 1.5 < np.sqrt(weights.noise_variance) < noise * 1.5


def test_votes_are_for_the_noise_that_there_is() -> None:
    made = basis()
    random = np.random.default_rng(3)
    truth = made.columns @ made.mean + 0.1 * random.standard_normal(len(made.columns))
    scores = votes(
        made, made.columns[:20], truth[:20], made.columns[20:], truth[20:], Priors.flat(False)
    )
    assert NOISE_SD[int(np.argmax(scores.max(axis=0)))] == 0.1


def test_a_flat_prior_is_typical_of_its_middle() -> None:
    factor_sd, feature_sd, noise = Priors.flat(True).typical()
    assert factor_sd == pytest.approx(1.0)
    assert 0.1 < feature_sd < 3
    assert NOISE_SD[0] < noise < NOISE_SD[-1]
