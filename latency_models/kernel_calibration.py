"""From the kernels of a network to its latency.

Kernels are measured beside copies of themselves, as nodes of one file, so that their plain sum is
near. What is left is

    latency = constant + slope * sum + per_kernel * kernels + crowding * C

- ``C`` is what weights cost that a cache has no room for. It is no guess: files of more and more
  weights are measured with the kernels (:class:`Crowding`), and ``C`` is what the weights of the
  network would take longer in such a file of its size.
- ``slope``, ``per_kernel`` and ``constant`` are what kernels take in a network over what they take
  beside their copies.

The four are found as in :mod:`latency_models.calibration`, by a Bayesian linear regression on
relative errors, with Huber's weights: a priori slope and crowding are 1, the others 0. Where no
network was measured they stay so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from devices.errors import InputError
from latency_models.base import FloatArray
from profiler.kernels import KernelSpec

SLOPE_PRIOR = 0.05
"""Standard deviation a priori of the slope."""
CROWDING_PRIOR = 0.25
"""The same of the factor of what weights cost: so much kernels differ in what a byte costs them."""
SHARE_PRIOR = 0.02
"""The same of each other term's share of a network's latency."""
NOISE = 0.02
"""Least relative error that a measured network is credited with."""

_HUBER = 1.345
_MAD_TO_SIGMA = 1.4826
_ITERATIONS = 50


@dataclass(frozen=True)
class Crowding:
    """What a byte of weights costs besides, in files of so many bytes of weights.

    Attributes:
        size_bytes: of all weights, ascending.
        ms_per_byte: what each takes longer than in the smallest file; never less than in a smaller
            one.
    """

    size_bytes: tuple[float, ...] = (0.0,)
    ms_per_byte: tuple[float, ...] = (0.0,)

    @classmethod
    def of(cls, files_ms: Mapping[int, float]) -> Crowding:
        """From what files of convolutions take in ms, by the bytes of their weights."""
        if not files_ms:
            return cls()
        sizes = sorted(files_ms)
        each = np.array([files_ms[size] / size for size in sizes])
        rise = np.maximum.accumulate(each - each[0])
        return cls(tuple(map(float, sizes)), tuple(rise.tolist()))

    def cost_ms(self, weight_bytes: FloatArray, other_bytes: FloatArray) -> FloatArray:
        """What the weights of networks take longer than if all were in a cache, shape ``(n,)``.

        Args:
            weight_bytes: of each network, shape ``(n,)``.
            other_bytes: what else is in the cache, shape ``(n,)``.
        """
        rise = np.interp(weight_bytes + other_bytes, self.size_bytes, self.ms_per_byte)
        cost: FloatArray = weight_bytes * rise
        return cost


@dataclass(frozen=True)
class KernelRows:
    """What the regression sees of some networks.

    Attributes:
        sums_ms: sums of what their kernels take, shape ``(n,)``.
        kernels: how many they have, shape ``(n,)``.
        crowding_ms: :meth:`Crowding.cost_ms` of them, shape ``(n,)``.
    """

    sums_ms: FloatArray
    kernels: FloatArray
    crowding_ms: FloatArray

    @classmethod
    def of(
        cls,
        networks: Sequence[Sequence[KernelSpec]],
        sums_ms: Sequence[float] | FloatArray,
        crowding: Crowding,
    ) -> KernelRows:
        """Those of networks whose kernels take so much together."""
        weights = np.array([sum(one.weight_bytes for one in each) for each in networks], float)
        others = np.array(
            [max(map(_activation_bytes, each), default=0) for each in networks], float
        )
        counts = np.array([len(each) for each in networks], float)
        return cls(np.asarray(sums_ms, float), counts, crowding.cost_ms(weights, others))

    @property
    def columns(self) -> FloatArray:
        """Shape ``(n, 4)``: constant, sum, kernels, crowding."""
        ones = np.ones_like(self.sums_ms)
        return np.stack([ones, self.sums_ms, self.kernels, self.crowding_ms], axis=1)


def _activation_bytes(spec: KernelSpec) -> int:
    """What a kernel reads and writes but for weights."""
    written = sum(each.size_bytes for each in spec.outputs if each is not None)
    return written + sum(each.size_bytes for each in spec.activations)


@dataclass(frozen=True)
class KernelCalibration:
    """What turns the kernels of a network into its latency. The default is the plain sum.

    Attributes:
        constant_ms: what every network costs.
        slope: factor on the sum of kernels.
        per_kernel_ms: added for each kernel.
        crowding: factor on what weights cost that are in no cache.
        networks: how many networks it was fitted to.
    """

    constant_ms: float = 0.0
    slope: float = 1.0
    per_kernel_ms: float = 0.0
    crowding: float = 1.0
    networks: int = 0

    def predict_ms(self, rows: KernelRows) -> FloatArray:
        """Latency of networks in ms, shape ``(n,)``."""
        terms = [self.constant_ms, self.slope, self.per_kernel_ms, self.crowding]
        latency_ms: FloatArray = rows.columns @ np.array(terms)
        return latency_ms


def calibrate_kernels(rows: KernelRows, measured_ms: FloatArray) -> KernelCalibration:
    """Fit the terms to measured networks; with none of them it is the plain sum.

    Args:
        rows: of ``n`` networks.
        measured_ms: latency of each, shape ``(n,)``.

    Raises:
        InputError: a latency that is not positive.
    """
    if not (np.isfinite(measured_ms) & (measured_ms > 0)).all():
        raise InputError("a network with a latency that is not positive")
    if not len(measured_ms):
        return KernelCalibration()
    design = rows.columns / measured_ms[:, None]
    prior = np.array([0.0, 1.0, 0.0, 1.0])
    shares = np.maximum(design.mean(axis=0), 1e-12)
    spread = np.array(
        [SHARE_PRIOR / shares[0], SLOPE_PRIOR, SHARE_PRIOR / shares[2], CROWDING_PRIOR]
    )
    found, weights, noise = prior, np.ones(len(design)), NOISE
    for _ in range(_ITERATIONS):
        root = np.sqrt(weights)[:, None] / noise
        # In units of the spread: latencies in ms and factors differ by orders of magnitude.
        stacked = np.vstack([design * spread * root, np.eye(4)])
        wanted = np.concatenate([root[:, 0] * (1 - design @ prior), np.zeros(4)])
        before, found = found, prior + spread * np.linalg.lstsq(stacked, wanted, rcond=None)[0]
        errors = np.abs(design @ found - 1)
        noise = max(NOISE, _MAD_TO_SIGMA * float(np.median(errors)))
        weights = np.minimum(1.0, _HUBER * noise / np.maximum(errors, 1e-12))
        if np.allclose(found, before, rtol=1e-8, atol=1e-12):
            break
    constant, slope, per_kernel, crowding = (float(each) for each in found)
    return KernelCalibration(constant, slope, per_kernel, max(crowding, 0.0), len(measured_ms))
