"""From the kernels of a network to its latency.

Kernels are measured beside copies of themselves, as nodes of one file, so that their plain sum is
near. What is left is

    latency = constant + slope * sum + per_kernel * kernels + crowding * C(room)

- ``C`` is what weights cost that a cache has no room for. It is no guess: files of more and more
  weights are measured with the kernels (:class:`Crowding`), and ``C`` is what the weights of the
  network would take longer in such a file. The file is ``room`` times as large as the network,
  whose weights lie about in pieces of all sizes and share the cache with what flows between them.
- ``slope``, ``per_kernel`` and ``constant`` are what kernels take in a network over what they take
  beside their copies.

They are found as in :mod:`latency_models.calibration`, by a Bayesian linear regression on relative
errors, with Huber's weights, for each of some values of ``room``; the most likely one is taken. A
priori slope, crowding and room are 1, the others 0. Where no network was measured they stay so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from devices.errors import InputError
from latency_models.base import FloatArray
from profiler.kernels import KernelSpec

SLOPE_PRIOR = 0.05
"""Standard deviation a priori of the slope."""
CROWDING_PRIOR = 0.25
"""The same of the factor of what weights cost: so much kernels differ in what a byte costs them."""
ROOM_PRIOR = 0.2
"""The same of the logarithm of the room."""
SHARE_PRIOR = 0.02
"""The same of each other term's share of a network's latency."""
NOISE = 0.02
"""Relative error that a measured network is credited with."""

_HUBER = 1.345
_ITERATIONS = 50
_ROOMS = tuple(np.exp(np.arange(-0.3, 0.61, 0.05)).tolist())


@dataclass(frozen=True)
class Crowding:
    """What a byte of weights costs besides, in files of so many bytes of weights.

    Attributes:
        size_bytes: of all weights, ascending.
        ms_per_byte: what each takes longer than in the smallest file; never less than in a smaller
            one.
        product_share: what a byte costs a product over what it costs a convolution.
    """

    size_bytes: tuple[float, ...] = (0.0,)
    ms_per_byte: tuple[float, ...] = (0.0,)
    product_share: float = 1.0

    @classmethod
    def of(
        cls, files_ms: Mapping[int, float], products_ms: Mapping[int, float] | None = None
    ) -> Crowding:
        """From what files take in ms, by the bytes of their weights.

        Args:
            files_ms: of convolutions.
            products_ms: of products; without them a byte costs a product as much.
        """
        if not files_ms:
            return cls()
        sizes = sorted(files_ms)
        each = np.array([files_ms[size] / size for size in sizes])
        rise = np.maximum.accumulate(each - each[0])
        found = cls(tuple(map(float, sizes)), tuple(rise.tolist()))
        if not products_ms or len(products_ms) < 2:
            return found
        smallest, largest = min(products_ms), max(products_ms)
        more = products_ms[largest] / largest - products_ms[smallest] / smallest
        (cost,) = found.cost_ms(np.array([float(largest)]))
        # Where a cache holds everything there is nothing to compare.
        share = min(max(more * largest / cost, 0.0), 2.0) if cost > 0 else 1.0
        return replace(found, product_share=share)

    def cost_ms(
        self,
        weight_bytes: FloatArray,
        room: float = 1.0,
        product_bytes: FloatArray | float = 0.0,
    ) -> FloatArray:
        """What the weights of networks take longer than if all were in a cache, shape ``(n,)``.

        Args:
            weight_bytes: of each network, shape ``(n,)``.
            product_bytes: of these, those of products, shape ``(n,)``.
            room: how much sooner the cache is full than with as many in such a file.
        """
        rise = np.interp(room * weight_bytes, self.size_bytes, self.ms_per_byte)
        counted = weight_bytes - (1 - self.product_share) * product_bytes
        cost: FloatArray = counted * rise
        return cost


@dataclass(frozen=True)
class KernelRows:
    """What the regression sees of some networks.

    Attributes:
        sums_ms: sums of what their kernels take, shape ``(n,)``.
        kernels: how many they have, shape ``(n,)``.
        weight_bytes: of all weights of each, shape ``(n,)``.
        product_bytes: of these, those of products, shape ``(n,)``.
        crowding: what weights cost that are in no cache.
    """

    sums_ms: FloatArray
    kernels: FloatArray
    weight_bytes: FloatArray
    product_bytes: FloatArray
    crowding: Crowding

    @classmethod
    def of(
        cls,
        networks: Sequence[Sequence[KernelSpec]],
        sums_ms: Sequence[float] | FloatArray,
        crowding: Crowding,
    ) -> KernelRows:
        """Those of networks whose kernels take so much together."""
        weights = [sum(one.weight_bytes for one in each) for each in networks]
        counts = [len(each) for each in networks]
        products = [sum(one.weight_bytes for one in each if one.is_product) for each in networks]
        return cls(_array(sums_ms), _array(counts), _array(weights), _array(products), crowding)

    def columns(self, room: float) -> FloatArray:
        """Shape ``(n, 4)``: constant, sum, kernels, crowding."""
        crowded = self.crowding.cost_ms(self.weight_bytes, room, self.product_bytes)
        ones = np.ones_like(self.sums_ms)
        return np.stack([ones, self.sums_ms, self.kernels, crowded], axis=1)


def _array(values: Sequence[float] | FloatArray) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class KernelCalibration:
    """What turns the kernels of a network into its latency. The default is the plain sum.

    Attributes:
        constant_ms: what every network costs.
        slope: factor on the sum of kernels.
        per_kernel_ms: added for each kernel.
        crowding: factor on what weights cost that are in no cache.
        room: how much sooner a cache is full than with a file of weights alone.
        networks: how many networks it was fitted to.
        largest_bytes: weights of the one that has most of them.
    """

    constant_ms: float = 0.0
    slope: float = 1.0
    per_kernel_ms: float = 0.0
    crowding: float = 1.0
    room: float = 1.0
    networks: int = 0
    largest_bytes: float = 0.0

    def predict_ms(self, rows: KernelRows) -> FloatArray:
        """Latency of networks in ms, shape ``(n,)``."""
        terms = [self.constant_ms, self.slope, self.per_kernel_ms, self.crowding]
        latency_ms: FloatArray = rows.columns(self.room) @ np.array(terms)
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
    fits = {room: _fit(rows.columns(room) / measured_ms[:, None]) for room in _ROOMS}
    room = min(fits, key=lambda each: fits[each].loss + (math.log(each) / ROOM_PRIOR) ** 2 / 2)
    constant, slope, per_kernel, crowding = fits[room].terms.tolist()
    return KernelCalibration(
        constant,
        slope,
        per_kernel,
        max(crowding, 0.0),
        room,
        len(measured_ms),
        float(rows.weight_bytes.max()),
    )


@dataclass(frozen=True)
class _Fit:
    """Coefficients, shape ``(4,)``, and minus the logarithm of how likely they are."""

    terms: FloatArray
    loss: float


def _fit(design: FloatArray) -> _Fit:
    """Coefficients that bring ``design @ x`` near 1; the design has shape ``(n, 4)``."""
    prior = np.array([0.0, 1.0, 0.0, 1.0])
    shares = np.maximum(design.mean(axis=0), 1e-12)
    spread = np.array(
        [SHARE_PRIOR / shares[0], SLOPE_PRIOR, SHARE_PRIOR / shares[2], CROWDING_PRIOR]
    )
    found = prior
    weights = np.ones(len(design))
    for _ in range(_ITERATIONS):
        root = np.sqrt(weights)[:, None] / NOISE
        # In units of the spread: latencies in ms and factors differ by orders of magnitude.
        stacked = np.vstack([design * spread * root, np.eye(4)])
        wanted = np.concatenate([root[:, 0] * (1 - design @ prior), np.zeros(4)])
        before, found = found, prior + spread * np.linalg.lstsq(stacked, wanted, rcond=None)[0]
        errors = np.abs(design @ found - 1) / NOISE
        weights = np.minimum(1.0, _HUBER / np.maximum(errors, 1e-12))
        if np.allclose(found, before, rtol=1e-8, atol=1e-12):
            break
    huber = np.where(errors <= _HUBER, errors**2 / 2, _HUBER * (errors - _HUBER / 2))
    return _Fit(found, float(huber.sum() + (((found - prior) / spread) ** 2).sum() / 2))
