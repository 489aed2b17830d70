"""The weights of a new device, from a few measurements of it.

Internal to :mod:`latency_models.transfer`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from latency_models.base import FloatArray
from latency_models.transfer_basis import Basis

FACTOR_SD = (0.5, 1.0, 2.0)
FEATURE_SD = (0.1, 0.3, 1.0, 3.0)
NOISE_SD = (0.003, 0.006, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Of one measurement, relative."""
_FARTHEST = 4.0
"""Standard deviations at which a density stops falling, so that broken values decide nothing."""


@dataclass(frozen=True)
class Priors:
    """Settings of the prior, and how likely each is before anything is measured.

    Attributes:
        settings: pairs of ``factor_sd`` and ``feature_sd``.
        log_weights: of every setting with every noise, shape ``(settings, noises)``.
    """

    settings: tuple[tuple[float, float], ...]
    log_weights: FloatArray

    @classmethod
    def flat(cls, has_features: bool) -> Priors:
        """All settings are as likely."""
        settings = tuple(itertools.product(FACTOR_SD, FEATURE_SD if has_features else (0.0,)))
        return cls(settings, np.zeros((len(settings), len(NOISE_SD))))

    def typical(self) -> tuple[float, float, float]:
        """Means of factor_sd, feature_sd and the noise, on logarithmic scales."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        weights /= weights.sum()
        by_setting = weights.sum(axis=1)
        logs = np.log(np.maximum(np.array(self.settings), 1e-6))
        factor_sd, feature_sd = np.exp(by_setting @ logs)
        noise = np.exp(weights.sum(axis=0) @ np.log(np.array(NOISE_SD)))
        return float(factor_sd), float(feature_sd), float(noise)


@dataclass(frozen=True)
class Weights:
    """What is known of the weights of a device.

    Attributes:
        mean: shape ``(weights,)``.
        covariance: shape ``(weights, weights)``.
        noise_variance: of one measurement.
    """

    mean: FloatArray
    covariance: FloatArray
    noise_variance: float

    def predict(self, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of a measurement of each row, both of shape ``(rows,)``."""
        variance = np.einsum("ij,jk,ik->i", columns, self.covariance, columns, optimize=True)
        return columns @ self.mean, np.sqrt(np.maximum(variance, 0.0) + self.noise_variance)


def posterior(basis: Basis, rows: FloatArray, measured: FloatArray, priors: Priors) -> Weights:
    """The weights given some measurements, averaged over the settings of the prior.

    Each setting with each noise is a Bayesian linear regression (Rasmussen and Williams, 2006,
    section 2.1); they are averaged by prior times marginal likelihood.

    Args:
        basis: the directions.
        rows: columns of the measured rows, shape ``(measured, weights)``.
        measured: relative latencies, shape ``(measured,)``.
        priors: the settings.
    """
    noise = np.array(NOISE_SD) ** 2
    fits = [_Regression.of(rows, measured, basis.mean, basis.sd(*s)) for s in priors.settings]
    logs = priors.log_weights + np.stack([fit.log_evidence(noise) for fit in fits])
    share = np.exp(logs - logs.max())
    share /= share.sum()
    mean = np.zeros(len(basis.mean))
    second = np.zeros((len(mean), len(mean)))
    for fit, shares in zip(fits, share, strict=True):
        for variance, part in zip(noise, shares, strict=True):
            if part > 1e-4:
                weights, covariance = fit.moments(float(variance))
                mean += part * weights
                second += part * (covariance + np.outer(weights, weights))
    kept = share[share > 1e-4].sum()
    mean, second = mean / kept, second / kept
    return Weights(mean, second - np.outer(mean, mean), float(share.sum(axis=0) @ noise))


def votes(
    basis: Basis,
    rows: FloatArray,
    measured: FloatArray,
    others: FloatArray,
    truth: FloatArray,
    priors: Priors,
) -> FloatArray:
    """How well each setting with each noise would have told the other rows of a known device.

    Args:
        basis: the directions.
        rows: columns of the measured rows, shape ``(measured, weights)``.
        measured: relative latencies, shape ``(measured,)``.
        others: columns of other rows, shape ``(n, weights)``.
        truth: relative latencies of these, shape ``(n,)``.
        priors: the settings.

    Returns:
        Mean logarithm of the density, shape ``(settings, noises)``.
    """
    scores = np.zeros(priors.log_weights.shape)
    for i, setting in enumerate(priors.settings):
        fit = _Regression.of(rows, measured, basis.mean, basis.sd(*setting))
        for j, noise_sd in enumerate(NOISE_SD):
            weights, covariance = fit.moments(noise_sd**2)
            predicted, sd = Weights(weights, covariance, noise_sd**2).predict(others)
            distance = np.minimum(np.abs(truth - predicted) / sd, _FARTHEST)
            scores[i, j] = np.mean(-(distance**2) / 2 - np.log(sd))
    return scores


@dataclass(frozen=True)
class _Regression:
    """A linear regression with a Gaussian prior, for any noise."""

    prior_mean: FloatArray
    sd: FloatArray
    size: FloatArray
    right: FloatArray
    inside: FloatArray
    outside: float
    count: int

    @classmethod
    def of(
        cls, rows: FloatArray, measured: FloatArray, prior_mean: FloatArray, sd: FloatArray
    ) -> _Regression:
        left, size, right = np.linalg.svd(rows * sd, full_matrices=False)
        rest = measured - rows @ prior_mean
        inside = left.T @ rest
        outside = max(float(rest @ rest - inside @ inside), 0.0)
        return cls(prior_mean, sd, size, right, inside, outside, len(measured))

    def log_evidence(self, noise: FloatArray) -> FloatArray:
        """Logarithm of the marginal likelihood at each noise variance."""
        total = self.size[:, None] ** 2 + noise
        within = -0.5 * np.sum(self.inside[:, None] ** 2 / total + np.log(total), axis=0)
        free = self.count - len(self.size)
        found: FloatArray = within - 0.5 * (self.outside / noise + free * np.log(noise))
        return found

    def moments(self, noise: float) -> tuple[FloatArray, FloatArray]:
        """Mean and covariance of the weights."""
        total = self.size**2 + noise
        weights = self.right.T @ (self.size / total * self.inside)
        known = (self.right.T * (self.size**2 / total)) @ self.right
        covariance = self.sd[:, None] * (np.eye(len(self.sd)) - known) * self.sd
        return self.prior_mean + self.sd * weights, covariance
