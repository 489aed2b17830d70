"""DeviceTransfer: latencies on a new device, from those on known ones and a few measurements."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from devices.errors import InputError, MissingEntryError, MissingModelError
from latency_models.base import FloatArray
from latency_models.transfer_basis import Basis, fill, make_basis, whiten
from latency_models.transfer_design import most_informative
from latency_models.transfer_frames import check_features, check_measured, check_reference
from latency_models.transfer_process import Priors, Weights, posterior, votes

Scale = Literal["auto", "linear", "log"]
Rows = npt.NDArray[np.int64]

SAMPLES = 10
"""How many measurements the settings are chosen for."""
_DESIGNS = 5
_HELD_OUT = 12
"""Most known devices that are held out in turn."""
_SCORED = 500
"""Most rows of a device that settings are scored on."""
_SHARPNESS = 50.0
"""Rows that a mean score counts for: fewer than it is over, as errors of rows go together."""
_DOUBT = 0.02
"""Prior share of the settings that no known device would have chosen."""
_BROKEN = 6.0
"""Standard deviations from what the others predict, beyond which a measurement is set aside."""
_OWN_WIDTH = 0.5
"""How much of its width an interval has from the device itself, and not from the known ones."""
_LEAST_COMMON = 0.05
_FLOOR = 1e-3
"""Least prediction, as a share of the typical latency: a latency is positive."""


class DeviceTransfer:
    """Predicts all networks on a new device from a few that were measured there.

    Known devices were measured on (most of) the same networks. Latencies of a network on different
    devices are alike, and differ in few ways; which ways, the known devices say. So the new
    device's relative latencies are a linear combination of what the known ones have in common, of
    the directions in which they differ (principal components), and of given features of the
    networks, with a Gaussian prior on the weights and noise on each measurement: Bayesian linear
    regression. How far a new device may be from the known ones, how much features count, the noise,
    and whether latencies or their logarithms are combined are not given but learned: each known
    device is held out in turn and predicted from the others. The same shows how wide an interval
    has to be.

    Args:
        scale: ``linear`` combines latencies, as they are sums of the same parts on every device;
            ``log`` combines their logarithms, where they span orders of magnitude; ``auto`` takes
            the one that predicts the known devices better (``log`` for a single one).
        seed: of the networks drawn while settings are learned.

    Attributes:
        devices_: names of the known devices.
        zeros_: how many latencies of 0 in the reference were taken as missing.
        scale_: the scale that is used.
        unknown_: measured networks that the reference does not have, and that were not used.
        set_aside_: measured networks whose latency no network like them explains.
        expected_error_: median relative error of the known devices, each predicted by the others
            from the same networks; NaN where that cannot be told.
    """

    def __init__(self, scale: Scale = "auto", seed: int = 0) -> None:
        self.scale = scale
        self.seed = seed

    def fit(self, reference: pd.DataFrame, features: pd.DataFrame | None = None) -> Self:
        """Learn from the known devices what devices have in common and how they differ.

        Args:
            reference: latencies in ms; a row an architecture, a column a known device, NaN where
                not measured. Zeros count as missing: a coarse clock writes them.
            features: numbers that describe the architectures, with the same index: for a device
                that is unlike all of the known ones, and against the noise of these.

        Raises:
            InputError: an empty table, an index or a column that occurs twice, something that is
                no number, a negative or infinite latency, a device without any; features of other
                rows, or missing ones; an unknown scale.
        """
        if self.scale not in ("auto", "linear", "log"):
            raise InputError(f"unknown scale {self.scale!r}", hint="auto, linear or log")
        values, self.zeros_ = check_reference(reference)
        self._features = None if features is None else whiten(check_features(features, reference))
        self._index = reference.index
        self._values = values
        self.devices_ = tuple(str(name) for name in reference.columns)
        self._weights: Weights | None = None
        self._learn()
        self._relative = _relative(values, self.scale_)
        self._basis = make_basis(fill(self._relative, self._features), self._features)
        return self

    def suggest(self, n: int = SAMPLES, among: Iterable[Hashable] | None = None) -> list[Hashable]:
        """The architectures that are worth measuring on a new device, the best first.

        They leave least unknown of all architectures. Nothing of the new device is needed.

        Args:
            n: how many.
            among: which can be measured; by default all of the reference.

        Raises:
            InputError: fewer than one, or more than there are.
            MissingEntryError: one of ``among`` is not in the reference.
        """
        self._check_fitted()
        candidates = np.arange(len(self._index)) if among is None else self._positions(among)
        if not 1 <= n <= len(candidates):
            raise InputError(
                f"cannot suggest {n} architectures", f"there are {len(candidates)} to choose from"
            )
        factor_sd, feature_sd, noise = self._priors.typical()
        columns = self._basis.columns * self._basis.sd(factor_sd, feature_sd)
        chosen = most_informative(columns, noise**2, candidates, n)
        return [self._index[row] for row in chosen]

    def adapt(self, measured: pd.Series) -> Self:
        """Take in what was measured on the new device; an earlier call is forgotten.

        Args:
            measured: latency in ms of each measured architecture, at least one of the reference.

        Raises:
            InputError: no measurement, none of the reference's architectures, one given twice, a
                latency that is not a positive number.
        """
        self._check_fitted()
        latencies = check_measured(measured, self._index)
        known = latencies.index.isin(self._index)
        self.unknown_ = tuple(latencies.index[~known])
        latencies = latencies[known]
        rows = self._index.get_indexer(latencies.index)
        kept = self._sound(rows, latencies.to_numpy())
        self.set_aside_ = tuple(latencies.index[~kept])
        rows, values = rows[kept], latencies.to_numpy()[kept]
        self._unit = _unit(self._basis.columns[rows, 1], values, self.scale_)
        self._weights = self._posterior(self._basis, rows, values, self._unit)
        self._typical_sd: float = self._median_sd(self._basis, self._weights)
        self._distances, self.expected_error_ = self._calibrate(rows)
        self._measured = len(rows)
        return self

    def predict_ms(self, index: Iterable[Hashable] | None = None) -> pd.Series:
        """Predicted latency in ms on the new device, all positive.

        Args:
            index: architectures of the reference; by default all.

        Raises:
            MissingEntryError: one that the reference does not have.
            MissingModelError: nothing was measured yet.
        """
        rows, relative, _ = self._predict(index)
        return pd.Series(
            _absolute(relative, self._unit, self.scale_),
            index=self._index[rows],
            name="predicted_ms",
        )

    def interval_ms(
        self, index: Iterable[Hashable] | None = None, coverage: float = 0.9
    ) -> pd.DataFrame:
        """Where a measurement on the new device would lie, in ms.

        Its width is calibrated: intervals of the known devices, each predicted from the same
        architectures by the others, hold this share of what was measured there.

        Args:
            index: architectures of the reference; by default all.
            coverage: share of measurements that lie inside, between 0 and 1.

        Returns:
            Columns ``lower`` and ``upper``.

        Raises:
            InputError: a coverage that is not between 0 and 1.
            MissingEntryError: one that the reference does not have.
            MissingModelError: nothing was measured yet.
        """
        if not 0 < coverage < 1:
            raise InputError(f"coverage {coverage}", "is not between 0 and 1", "0.9")
        rows, relative, sd = self._predict(index)
        width = self._width(coverage) * math.pow(self._typical_sd, _OWN_WIDTH - 1)
        bounds = {
            name: _absolute(relative + sign * width * sd, self._unit, self.scale_)
            for name, sign in (("lower", -1), ("upper", 1))
        }
        return pd.DataFrame(bounds, index=self._index[rows])

    def _width(self, coverage: float) -> float:
        """Half of an interval, by what a standard deviation of one row is multiplied with.

        Ten measurements say how noisy a device is, but not well. So an interval is as wide as the
        geometric mean of what they say and of what is typical of the known devices; that this
        share predicts known devices best was found on those of NAS-Bench-201. The errors of few
        devices say little of how large those of another one are, so they are stretched as
        Student's distribution is beside the normal one.
        """
        tail = (1 + coverage) / 2
        if not len(self._distances):
            quantile = float(student.ppf(tail, max(self._measured - 1, 1)))
            return quantile * math.pow(self._typical_sd, 1 - _OWN_WIDTH)
        stretch = float(student.ppf(tail, len(self._held_out)) / norm.ppf(tail))
        return float(np.quantile(self._distances, coverage)) * stretch

    def _learn(self) -> None:
        """Scale and priors of the settings, by holding out the known devices in turn."""
        flat = Priors.flat(self._features is not None)
        devices = self._values.shape[1]
        chosen = np.unique(np.linspace(0, devices - 1, min(devices, _HELD_OUT)).round())
        self._held_out: list[_HeldOut] = []
        self._priors = flat
        self.scale_: str = "log" if self.scale == "auto" else self.scale
        if devices == 1:
            return
        best = -np.inf
        for scale in ("linear", "log") if self.scale == "auto" else (self.scale,):
            parts = [self._without(int(device), scale) for device in chosen]
            scores = np.stack([self._score(part, scale, flat) for part in parts])
            value = float(scores.max(axis=(1, 2)).mean())
            if value > best:
                best, self.scale_, self._held_out = value, scale, parts
                shares = np.exp(_SHARPNESS * (scores - scores.max(axis=(1, 2), keepdims=True)))
                shares /= shares.sum(axis=(1, 2), keepdims=True)
                mixed = shares.mean(axis=0) + _DOUBT / scores[0].size
                self._priors = Priors(flat.settings, np.log(mixed))

    def _without(self, device: int, scale: str) -> _HeldOut:
        others = np.delete(self._values, device, axis=1)
        basis = make_basis(fill(_relative(others, scale), self._features), self._features)
        return _HeldOut(basis, self._values[:, device])

    def _score(self, part: _HeldOut, scale: str, priors: Priors) -> FloatArray:
        """Mean score of each setting over some draws of measured rows."""
        random = np.random.default_rng(self.seed)
        known = np.flatnonzero(~np.isnan(part.latencies))
        count = min(SAMPLES, max(1, len(known) // 2))
        scores = []
        for _ in range(_DESIGNS):
            drawn = random.permutation(known)
            rows, others = drawn[:count], drawn[count : count + _SCORED]
            if not len(others):
                others = rows
            unit = _unit(part.basis.columns[rows, 1], part.latencies[rows], scale)
            truth = _to_relative(part.latencies[others], unit, scale)
            score = votes(
                part.basis,
                part.basis.columns[rows],
                _to_relative(part.latencies[rows], unit, scale),
                part.basis.columns[others],
                truth,
                priors,
            )
            # Densities of logarithms, so that the two scales can be compared.
            if scale == "linear":
                score = score + float(np.median(np.log(part.latencies[others] / unit)))
            scores.append(score)
        mean: FloatArray = np.mean(scores, axis=0)
        return mean

    def _posterior(self, basis: Basis, rows: Rows, latencies: FloatArray, unit: float) -> Weights:
        relative = _to_relative(latencies, unit, self.scale_)
        return posterior(basis, basis.columns[rows], relative, self._priors)

    def _sound(self, rows: Rows, latencies: FloatArray) -> npt.NDArray[np.bool_]:
        """Which measurements the others do not contradict."""
        kept = np.ones(len(rows), dtype=bool)
        for _ in range(len(rows) // 5):
            distances = np.zeros(len(rows))
            for i in np.flatnonzero(kept) if len(rows) <= 5 * SAMPLES else ():
                others = kept.copy()
                others[i] = False
                distances[i] = self._distance(rows, latencies, others)[i]
            if len(rows) > 5 * SAMPLES:
                distances = self._distance(rows, latencies, kept) * kept
            worst = int(np.argmax(distances))
            if distances[worst] <= _BROKEN:
                break
            kept[worst] = False
        return kept

    def _distance(
        self, rows: Rows, latencies: FloatArray, used: npt.NDArray[np.bool_]
    ) -> FloatArray:
        """Distance of each measurement from what some of them predict, in standard deviations."""
        unit = _unit(self._basis.columns[rows[used], 1], latencies[used], self.scale_)
        weights = self._posterior(self._basis, rows[used], latencies[used], unit)
        predicted, sd = weights.predict(self._basis.columns[rows])
        distance: FloatArray = np.abs(_to_relative(latencies, unit, self.scale_) - predicted) / sd
        return distance

    def _calibrate(self, rows: Rows) -> tuple[FloatArray, float]:
        """How well the same measured rows tell the other rows of the devices held out.

        Returns:
            Errors, each divided by its standard deviation over a root of the device's typical
            one, and the median of the relative errors.
        """
        distances: list[FloatArray] = [np.zeros(0)]
        errors: list[FloatArray] = [np.zeros(0)]
        random = np.random.default_rng(self.seed)
        for part in self._held_out:
            known = ~np.isnan(part.latencies)
            measured = rows[known[rows]]
            known[measured] = False
            others = random.permutation(np.flatnonzero(known))[:_SCORED]
            if len(measured) and len(others):
                unit = _unit(part.basis.columns[measured, 1], part.latencies[measured], self.scale_)
                weights = self._posterior(part.basis, measured, part.latencies[measured], unit)
                predicted, sd = weights.predict(part.basis.columns[others])
                truth = part.latencies[others]
                sd *= self._median_sd(part.basis, weights) ** (_OWN_WIDTH - 1)
                distances.append(np.abs(_to_relative(truth, unit, self.scale_) - predicted) / sd)
                errors.append(np.abs(_absolute(predicted, unit, self.scale_) / truth - 1))
        pooled = np.concatenate(errors)
        return np.concatenate(distances), float(np.median(pooled)) if len(pooled) else np.nan

    def _median_sd(self, basis: Basis, weights: Weights) -> float:
        """Typical standard deviation of a device's relative latencies; some rows tell it."""
        step = max(len(basis.columns) // _SCORED, 1)
        _, sd = weights.predict(basis.columns[::step])
        return float(np.median(sd))

    def _predict(self, index: Iterable[Hashable] | None) -> tuple[Rows, FloatArray, FloatArray]:
        self._check_fitted()
        if self._weights is None:
            raise MissingModelError(
                "nothing was measured on the new device", hint="adapt() before predicting"
            )
        rows = np.arange(len(self._index)) if index is None else self._positions(index)
        return (rows, *self._weights.predict(self._basis.columns[rows]))

    def _positions(self, index: Iterable[Hashable]) -> Rows:
        wanted = list(index)
        rows: Rows = self._index.get_indexer(pd.Index(wanted, dtype=self._index.dtype))
        if (rows < 0).any():
            unknown = wanted[int(np.argmax(rows < 0))]
            raise MissingEntryError(
                f"{unknown} is not in the reference",
                f"{int((rows < 0).sum())} of {len(wanted)} architectures are not",
                "measure it on the known devices, or leave it out",
            )
        return rows

    def _check_fitted(self) -> None:
        if not hasattr(self, "_basis"):
            raise MissingModelError("no known devices were given", hint="fit() first")


@dataclass(frozen=True)
class _HeldOut:
    """A known device, and the basis of the others."""

    basis: Basis
    latencies: FloatArray


def _relative(values: FloatArray, scale: str) -> FloatArray:
    """Latencies of each device about its median, on one of the scales."""
    return _to_relative(values, np.nanmedian(values, axis=0), scale)


def _to_relative(latencies: FloatArray, unit: float | FloatArray, scale: str) -> FloatArray:
    relative: FloatArray = np.log(latencies / unit) if scale == "log" else latencies / unit - 1
    return relative


def _absolute(relative: FloatArray, unit: float, scale: str) -> FloatArray:
    share = np.exp(np.minimum(relative, 700.0)) if scale == "log" else 1 + relative
    absolute: FloatArray = unit * np.maximum(share, _FLOOR)
    return absolute


def _unit(common: FloatArray, latencies: FloatArray, scale: str) -> float:
    """The latency that is 1 on the new device, given what the known ones say of the same rows."""
    share = np.exp(common) if scale == "log" else np.maximum(1 + common, _LEAST_COMMON)
    return float(np.median(latencies / share))
