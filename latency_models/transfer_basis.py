"""What the known devices say of the networks: a few directions in which a new one may differ.

Internal to :mod:`latency_models.transfer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency_models.base import FloatArray

BoolArray = npt.NDArray[np.bool_]

_OUTLIER = 5.0
"""Robust standard deviations from what the other devices say, beyond which a value is broken."""
_FILL_RANK = 2
_FILL_ROUNDS = 10
_MAX_FEATURES = 64
_MAX_FACTORS = 24
_SHARED_FACTORS = 3
_EM_ROUNDS = 500
_LEAST_NOISE = 1e-3
"""Share of a device's variance that is its own at the least, so that no factor is one device."""
_TINY = 1e-9
SLOPE_SD = 0.3
"""Prior standard deviation of the new device's share of the mean of the known ones, about 1."""


@dataclass(frozen=True)
class Basis:
    """A linear model of a device's relative latencies, with a Gaussian prior on its weights.

    Relative latencies are ``columns @ weights``, and a priori the weights are
    ``mean + N(0, diag(sd(...)**2))``. The columns are, in this order: the constant; what the known
    devices have in common; the directions in which they differ, scaled so that weights of standard
    deviation 1 are devices like them; directions of the features, scaled to the same spread
    altogether; and what the known devices have in common that the features do not tell.

    Attributes:
        columns: shape ``(rows, weights)``.
        groups: what each column is, shape ``(weights,)``, of the constants of this class.
        mean: prior mean of the weights, shape ``(weights,)``.
    """

    columns: FloatArray
    groups: npt.NDArray[np.int64]
    mean: FloatArray

    CONSTANT = 0
    COMMON = 1
    FACTOR = 2
    FEATURE = 3
    REST = 4

    def sd(self, factor_sd: float, feature_sd: float) -> FloatArray:
        """Prior standard deviations of the weights, shape ``(weights,)``.

        Args:
            factor_sd: how unlike the known devices a new one is; 1 is as they differ themselves.
            feature_sd: the same in the directions of the features.
        """
        by_group = np.array([1.0, SLOPE_SD, factor_sd, feature_sd, SLOPE_SD])
        chosen: FloatArray = by_group[self.groups]
        return chosen


def make_basis(filled: FloatArray, features: FloatArray | None) -> Basis:
    """The directions of some known devices.

    Args:
        filled: relative latencies, none missing, shape ``(rows, devices)``.
        features: of the rows, whitened as :func:`whiten` does, shape ``(rows, features)``.
    """
    rows, devices = filled.shape
    centred = filled - filled.mean(axis=0)
    if features is None:
        smooth = shared_part(centred, _SHARED_FACTORS)
    else:
        smooth = features @ (features.T @ centred) / rows
    common = smooth.mean(axis=1)
    left, size, _ = np.linalg.svd(smooth - common[:, None], full_matrices=False)
    factors = min(devices - 1, rows, _MAX_FACTORS)
    spread = size[:factors] / np.sqrt(max(devices - 1, 1))
    parts = [np.ones((rows, 1)), common[:, None], left[:, :factors] * spread]
    if features is not None:
        # Of one device nothing is known of how devices differ: as much as half of what it is.
        scattered = np.mean(common**2) / 4 if devices == 1 else np.sum(spread**2) / rows
        parts.append(features * np.sqrt(scattered / max(features.shape[1], 1)))
        parts.append(shared_part(centred - smooth, 1).mean(axis=1)[:, None])
    groups = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    mean = np.array([0.0, 1.0, 0.0, 0.0, SLOPE_SD])[groups]
    return Basis(np.concatenate(parts, axis=1), groups, mean)


def shared_part(centred: FloatArray, factors: int) -> FloatArray:
    """What several devices agree on: each device has noise of its own, which is left out.

    Maximum-likelihood factor analysis by expectation-maximisation (Rubin and Thayer, Psychometrika
    1982). Unlike principal components it does not take the noise of the worst device for a way in
    which devices differ.

    Args:
        centred: relative latencies with column means of 0, shape ``(rows, devices)``.
        factors: how many.

    Returns:
        The same shape; unchanged for fewer than three devices, or fewer than two a factor: so few
        would lose ways in which they do differ.
    """
    devices = centred.shape[1]
    if devices < max(2 * factors, 3):
        return centred
    scale = np.maximum(centred.std(axis=0), _TINY)
    standard = centred / scale
    correlation = standard.T @ standard / len(standard)
    values, vectors = np.linalg.eigh(correlation)
    loadings = vectors[:, -factors:] * np.sqrt(np.maximum(values[-factors:], _TINY))
    noise = np.full(devices, 0.5)
    scores = np.zeros((factors, devices))
    for _ in range(_EM_ROUNDS):
        weighted = loadings.T / noise
        spread = np.linalg.inv(np.eye(factors) + weighted @ loadings)
        scores = spread @ weighted
        covered = correlation @ scores.T
        loadings = covered @ np.linalg.inv(spread + scores @ covered)
        own = np.diag(correlation) - np.sum(loadings * covered, axis=1)
        change = np.abs(own - noise).max()
        noise = np.maximum(own, _LEAST_NOISE)
        if change < _TINY**0.5:
            break
    shared: FloatArray = (standard @ scores.T) @ loadings.T * scale
    return shared


def whiten(features: FloatArray) -> FloatArray:
    """Uncorrelated directions of the features with variance 1, the greatest first.

    Args:
        features: shape ``(rows, features)``, finite.

    Returns:
        Shape ``(rows, directions)``; no directions where no feature varies.
    """
    centred = features - features.mean(axis=0)
    deviation = centred.std(axis=0)
    varying = deviation > _TINY * np.maximum(np.abs(features).max(axis=0), 1.0)
    left, size, _ = np.linalg.svd(centred[:, varying] / deviation[varying], full_matrices=False)
    kept = size > _TINY * max(float(size.max(initial=0.0)), 1.0) * len(features)
    kept[_MAX_FEATURES:] = False
    whitened: FloatArray = left[:, kept] * np.sqrt(len(features))
    return whitened


def fill(relative: FloatArray, features: FloatArray | None) -> FloatArray:
    """Complete the relative latencies: broken values are dropped, what is missing is filled in.

    A value is broken if it lies far from what the other devices make of the row: some published
    minima are thousands of times below the rest. Filled in is the fit of a low rank, made again
    until it agrees with itself (Mazumder, Hastie and Tibshirani, JMLR 2010, without the penalty).

    Args:
        relative: shape ``(rows, devices)``, NaN where missing; a value in every column.
        features: whitened, or ``None``.
    """
    median = np.nanmedian(relative, axis=0)
    scale = _robust_sd(relative - median)
    standard = (relative - median) / scale
    row_median = _row_median(standard)
    if relative.shape[1] > 2:
        residual = standard - row_median[:, None]
        residual -= np.nanmedian(residual, axis=0)
        limit = _OUTLIER * np.maximum(_robust_sd(residual), _TINY)
        standard = np.where(np.abs(residual) > limit, np.nan, standard)
    missing = np.isnan(standard)
    if missing.any():
        if features is not None:
            row_median = np.where(missing.all(axis=1), 0.0, row_median)
        standard = np.where(missing, row_median[:, None], standard)
        rank = min(_FILL_RANK, relative.shape[1] - 1)
        for _ in range(_FILL_ROUNDS if rank else 0):
            centre = standard.mean(axis=0)
            left, size, right = np.linalg.svd(standard - centre, full_matrices=False)
            fitted = centre + (left[:, :rank] * size[:rank]) @ right[:rank]
            standard = np.where(missing, fitted, standard)
    filled: FloatArray = median + standard * scale
    return filled


def _robust_sd(values: FloatArray) -> FloatArray:
    """Standard deviation of each column that a few broken values do not move; never 0."""
    sd = 1.4826 * np.nanmedian(np.abs(values), axis=0)
    plain = np.nanstd(values, axis=0)
    chosen: FloatArray = np.where(sd > _TINY, sd, np.where(plain > _TINY, plain, 1.0))
    return chosen


def _row_median(values: FloatArray) -> FloatArray:
    """Median of each row over what is there; 0 where nothing is."""
    known = ~np.isnan(values).all(axis=1)
    medians = np.zeros(len(values))
    medians[known] = np.nanmedian(values[known], axis=1)
    return medians
