"""Directions in which devices differ."""

from __future__ import annotations

import numpy as np
import pytest

from latency_models.transfer_basis import Basis, fill, make_basis, shared_part, whiten


def devices(rows: int = 200, count: int = 8, seed: int = 0) -> np.ndarray:
    """Relative latencies that differ in three ways."""
    random = np.random.default_rng(seed)
    ways = random.standard_normal((rows, 3))
    return ways @ (np.array([[0.3], [0.1], [0.1]]) * random.normal(1, 0.5, (3, count)))


def test_every_known_device_is_a_combination_of_the_directions() -> None:
    known = devices(count=5)
    basis = make_basis(known, None)
    weights, *_ = np.linalg.lstsq(basis.columns, known, rcond=None)
    np.testing.assert_allclose(basis.columns @ weights, known, atol=1e-9)


def test_a_device_of_the_prior_mean_is_what_the_known_ones_share() -> None:
    known = devices(count=5)
    basis = make_basis(known, None)
    centred = known - known.mean(axis=0)
    np.testing.assert_allclose(basis.columns @ basis.mean, centred.mean(axis=1), atol=1e-12)


def test_spread_of_the_prior_is_that_of_the_known_devices() -> None:
    known = devices(count=5)
    basis = make_basis(known, None)
    factors = basis.columns[:, basis.groups == Basis.FACTOR]
    centred = known - known.mean(axis=0)
    variance = np.var(centred, axis=1, ddof=1).mean()
    assert np.sum(factors**2) / len(known) == pytest.approx(variance)


def test_noise_of_single_devices_is_left_out_of_what_is_shared() -> None:
    clean = devices()
    clean -= clean.mean(axis=0)
    noise = 0.1 * np.random.default_rng(1).standard_normal(clean.shape)
    noisy = clean + noise - noise.mean(axis=0)
    shared = shared_part(noisy, 3)
    assert np.abs(shared - clean).mean() < 0.8 * np.abs(noisy - clean).mean()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_devices_keep_all_that_they_are(count: int) -> None:
    known = devices(count=count)
    assert shared_part(known, 3) is known


def test_what_is_missing_is_filled_in_with_what_was_there() -> None:
    known = devices()
    random = np.random.default_rng(2)
    holes = np.where(random.random(known.shape) < 0.1, np.nan, known)
    filled = fill(holes, None)
    missing = np.isnan(holes)
    np.testing.assert_array_equal(np.isfinite(filled), True)
    assert np.abs(filled - known)[missing].mean() < 0.5 * np.abs(known[missing]).mean()
    assert np.isclose(filled, known)[~missing].mean() > 0.99


def test_a_value_that_is_far_from_all_others_is_replaced() -> None:
    known = devices()
    broken = known.copy()
    broken[5, 2] = -30.0
    assert abs(fill(broken, None)[5, 2] - known[5, 2]) < 1


def test_whitened_features_are_uncorrelated_and_constants_are_gone() -> None:
    features = np.random.default_rng(3).standard_normal((50, 3)) @ np.ones((3, 3)) + [1.0, 2, 3]
    features = np.column_stack([features, features[:, 0] * 2, np.ones(50), np.arange(50.0)])
    white = whiten(features)
    assert white.shape == (50, 2)
    np.testing.assert_allclose(white.T @ white / 50, np.eye(2), atol=1e-9)
