"""From a sum of ops to a network: what the sum leaves out, fitted to a few measured networks.

What ops take differs from network to network. With ``M`` for the megabytes of weights, each way is
one term of

    latency = constant + slope * sum + per_op * (ops - 1) + per_megabyte * M + crowding * sum * M

- ``slope``: ops in a network share caches and are fused, or get in each other's way;
- ``per_op``: an op on its own pays for a call of the runtime and for reordering its input and
  output, a network pays once. It matters where ops are small and depth varies;
- ``per_megabyte``: an op on its own finds its weights in a cache that a network's do not fit in;
- ``crowding``: the more weights a network has, and the longer it takes until it needs them again,
  the fewer are still in a cache that it shares with others;
- ``constant``: the rest.

The last term is of the network as a whole: no op has a contribution of its own. Where one is asked
for, as in a search, :meth:`Calibration.near` gives the tangent at networks of a given latency.

Besides, each op may take a little more or less in networks than its table says, by a factor of its
own (:func:`fit_op_factors`); the terms are fitted to ops with these factors.

A few networks cannot tell five terms apart, and where they all cost about the same not even two.
So this is a Bayesian linear regression on relative errors (a ridge regression whose origin is the
plain sum; Bishop, 2006, section 3.3): a priori the slope is 1 and each other term 0, give or take
:data:`PRIOR` of the latency, and the factor of each op 1, give or take :data:`OP_PRIOR`. What the
networks do not determine stays as it was; nothing has to be left out by hand. A network that was
mismeasured counts less by Huber's weights (1964), found by iterated reweighting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from latency_models.base import FloatArray
from profiler.ops import OpSpec

TERMS = ("constant", "sum", "ops", "weights", "crowding")
"""Names of the terms, in order of the columns of :func:`terms_of`."""
PRIOR = 0.3
"""Standard deviation a priori of each term's share of a network's latency, and of the slope."""
OP_PRIOR = 0.05
"""Standard deviation a priori of the factor of each op."""
NOISE = 0.02
"""Least relative error that a measured network is credited with."""
MIN_NETWORKS = 3
NARROW = 0.1
"""Range of the sums, relative to their median, below which networks hardly differ."""

_HUBER = 1.345  # 95 % efficiency where errors are normal
_MAD_TO_SIGMA = 1.4826
_ITERATIONS = 50
_LEAST_SLOPE = 0.1
_MOST = 0.3


@dataclass(frozen=True)
class Calibration:
    """What turns the ops of a network into its latency. The default is the plain sum.

    Attributes:
        constant_ms: what every network costs.
        slope: factor on the ops' own latencies.
        per_op_ms: added for each op that is not free.
        per_megabyte_ms: added for each 10^6 bytes of float32 weights.
        crowding: added for each ms of the sum and each 10^6 bytes of weights, in ms.
        op_factors: by the key of each op, what it takes in networks over what its table says; 1 for
            those that are not in it.
        pivot_sum_ms: plain sum of networks of 0 ms and by how much it grows with each further ms,
            on the line through the networks it was fitted to.
        pivot_megabytes: their megabytes of weights, likewise.
        latency_low_ms: smallest latency among the networks.
        latency_high_ms: largest latency among the networks.
        networks: how many networks it was fitted to; 0 is uncalibrated.
        loo_error: mean relative error on each network when fitted without it.
        sum_low_ms: smallest plain sum among the networks.
        sum_high_ms: largest plain sum among the networks.
        is_narrow: the plain sums span less than :data:`NARROW` of their median, so the prior and
            not the networks says how slope and constant share the latency: do not extrapolate.
    """

    constant_ms: float = 0.0
    slope: float = 1.0
    per_op_ms: float = 0.0
    per_megabyte_ms: float = 0.0
    crowding: float = 0.0
    op_factors: Mapping[str, float] = field(default_factory=dict)
    pivot_sum_ms: tuple[float, float] = (0.0, 1.0)
    pivot_megabytes: tuple[float, float] = (0.0, 0.0)
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    networks: int = 0
    loo_error: float | None = None
    sum_low_ms: float | None = None
    sum_high_ms: float | None = None
    is_narrow: bool = False

    @property
    def is_additive(self) -> bool:
        """Whether each op has a contribution of its own."""
        return self.crowding == 0

    def adjusted_ms(self, specs: Sequence[OpSpec], latencies_ms: FloatArray) -> FloatArray:
        """What each op takes in networks, in ms, from what its table says."""
        factors = [self.op_factors.get(spec.key, 1.0) for spec in specs]
        return latencies_ms * np.array(factors, dtype=np.float64)

    def near(self, latency_ms: float) -> Calibration:
        """The additive calibration that is nearest for networks of about some latency.

        It is the tangent, ``sum * M`` being near ``S * M + sum * W - S * W`` for a network of plain
        sum ``S`` and ``W`` megabytes of weights, which are those of that latency on the average.
        Beyond the latencies it was fitted to, the tangent at the nearest of them.
        """
        if self.is_additive:
            return self
        low, high = self.latency_low_ms or 0.0, self.latency_high_ms or math.inf
        at = min(max(latency_ms, low), high)
        sum_ms, megabytes = (a + b * at for a, b in (self.pivot_sum_ms, self.pivot_megabytes))
        return replace(
            self,
            constant_ms=self.constant_ms - self.crowding * sum_ms * megabytes,
            slope=self.slope + self.crowding * megabytes,
            per_megabyte_ms=self.per_megabyte_ms + self.crowding * sum_ms,
            crowding=0.0,
        )

    def predict_ms(self, rows: FloatArray) -> FloatArray:
        """Latency of networks in ms, shape ``(n,)``.

        Args:
            rows: :func:`terms_of` each, shape ``(n, 5)``.
        """
        # The first op of a network is not one too many: its call is part of the constant.
        constant_ms = self.constant_ms + self.per_op_ms
        terms = (constant_ms, self.slope, self.per_op_ms, self.per_megabyte_ms, self.crowding)
        latency_ms: FloatArray = rows @ np.array(terms)
        return latency_ms

    def contributions_ms(self, specs: Sequence[OpSpec], latencies_ms: FloatArray) -> FloatArray:
        """What each op adds to a network that holds it, in ms; at least 0, and 0 for a free one.

        Args:
            specs: the ops.
            latencies_ms: what each takes by :meth:`adjusted_ms`, shape ``(len(specs),)``.

        Raises:
            InputError: it is not additive.
        """
        if not self.is_additive:
            raise InputError(
                "no op has a contribution of its own",
                "what it adds depends on the weights of the whole network",
                "near(latency_ms) of the calibration or model",
            )
        megabytes = np.array([weight_megabytes(spec) for spec in specs], dtype=np.float64)
        nodes = np.array([not spec.is_free for spec in specs], dtype=np.float64)
        added = (
            self.slope * latencies_ms + self.per_op_ms * nodes + self.per_megabyte_ms * megabytes
        )
        return np.maximum(added, 0.0)


UNCALIBRATED = Calibration()
"""The plain sum of the ops."""


def weight_megabytes(spec: OpSpec) -> float:
    """Weights of the deployed op in 10^6 bytes of float32, batch norm folded."""
    return 4e-6 * sum(layer.weights for layer in spec.layers)


def terms_of(network: Sequence[OpSpec], latencies_ms: FloatArray) -> tuple[float, ...]:
    """A network's row of the regression, a value for each of :data:`TERMS`.

    They are 1, the sum in ms, ops after the first, megabytes of weights, and sum times megabytes.

    Args:
        network: its ops.
        latencies_ms: what each op takes by :meth:`Calibration.adjusted_ms`, shape
            ``(len(network),)``.
    """
    nodes = sum(not spec.is_free for spec in network)
    megabytes = sum(weight_megabytes(spec) for spec in network)
    sum_ms = float(latencies_ms.sum())
    return 1.0, sum_ms, max(nodes - 1.0, 0.0), megabytes, sum_ms * megabytes


def calibrate(
    rows: FloatArray, measured_ms: FloatArray, terms: Sequence[str] = TERMS
) -> Calibration:
    """Fit the terms to measured networks.

    Args:
        rows: :func:`terms_of` each network, shape ``(n, 5)``.
        measured_ms: latency of each, shape ``(n,)``.
        terms: which of :data:`TERMS` may differ from the plain sum's; ``sum`` is always among them.

    Raises:
        InputError: fewer than three networks, or a latency or sum that is not positive.
    """
    _check(rows, measured_ms, terms)
    used, scale, design = _design(rows, measured_ms, terms)
    prior = np.array([float(name == "sum") for name in used])
    shares, loo_error = _robust_ridge(design, prior, np.full(len(used), PRIOR))
    found = dict(zip(used, (shares * scale).tolist(), strict=True))
    per_op_ms = found.get("ops", 0.0)
    sums = rows[:, 1]
    return Calibration(
        # The first op of a network is not one too many: its call is the network's own.
        constant_ms=found.get("constant", 0.0) - per_op_ms,
        slope=found["sum"],
        per_op_ms=per_op_ms,
        per_megabyte_ms=found.get("weights", 0.0),
        crowding=found.get("crowding", 0.0),
        pivot_sum_ms=_line(measured_ms, rows[:, 1]),
        pivot_megabytes=_line(measured_ms, rows[:, 3]),
        latency_low_ms=float(measured_ms.min()),
        latency_high_ms=float(measured_ms.max()),
        networks=len(rows),
        loo_error=loo_error,
        sum_low_ms=float(sums.min()),
        sum_high_ms=float(sums.max()),
        is_narrow=bool(np.ptp(sums) < NARROW * np.median(sums)),
    )


def fit_op_factors(
    rows: FloatArray, ops_ms: FloatArray, measured_ms: FloatArray, terms: Sequence[str] = TERMS
) -> FloatArray:
    """By what factor each op takes longer in networks than its table says, shape ``(k,)``.

    The terms are fitted beside them, so that a factor says only what is the op's own. Where the
    networks do not tell, it is 1.

    Args:
        rows: :func:`terms_of` each network, shape ``(n, 5)``.
        ops_ms: what each op takes in each network by its table, as often as it is there; shape
            ``(n, k)``.
        measured_ms: latency of each network, shape ``(n,)``.
        terms: as for :func:`calibrate`.

    Raises:
        InputError: as :func:`calibrate`.
    """
    _check(rows, measured_ms, terms)
    used, _, design = _design(rows, measured_ms, terms)
    count = ops_ms.shape[1]
    prior = np.array([float(name == "sum") for name in used] + [0.0] * count)
    spread = np.array([PRIOR] * len(used) + [OP_PRIOR] * count)
    found, _ = _robust_ridge(np.hstack([design, ops_ms / measured_ms[:, None]]), prior, spread)
    slope = max(float(found[used.index("sum")]), _LEAST_SLOPE)
    factors: FloatArray = 1 + np.clip(found[len(used) :] / slope, -_MOST, _MOST)
    return factors


def _design(
    rows: FloatArray, measured_ms: FloatArray, terms: Sequence[str]
) -> tuple[list[str], FloatArray, FloatArray]:
    """Terms that are fitted, their scales, and the design matrix, shape ``(n, len(terms))``.

    A term's coefficient is its share of the latency, but for the slope, which is itself.
    """
    relative = rows / measured_ms[:, None]
    places = [
        i
        for i, name in enumerate(TERMS)
        if name == "sum" or (name in terms and relative[:, i].any())
    ]
    scale = np.array([1.0 if TERMS[i] == "sum" else 1 / relative[:, i].mean() for i in places])
    return [TERMS[i] for i in places], scale, relative[:, places] * scale


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Intercept and slope of the least-squares line; level where all ``x`` are equal."""
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope)


def _check(rows: FloatArray, measured_ms: FloatArray, terms: Sequence[str]) -> None:
    unknown = sorted(set(terms) - set(TERMS))
    if unknown:
        raise InputError(f"no term {unknown[0]!r} of a calibration", hint=", ".join(TERMS))
    if len(rows) < MIN_NETWORKS:
        raise InputError(
            f"{len(rows)} measured networks to calibrate with",
            f"needs at least {MIN_NETWORKS}",
            "measure more whole networks",
        )
    for name, values in (("measured latency", measured_ms), ("sum of ops", rows[:, 1])):
        bad = values[~(np.isfinite(values) & (values > 0))]
        if bad.size:
            raise InputError(f"a network with a {name} of {bad[0]} ms", "must be positive")


def _robust_ridge(
    design: FloatArray, prior: FloatArray, spread: FloatArray
) -> tuple[FloatArray, float]:
    """Coefficients that bring ``design @ x`` near 1, and the mean leave-one-out error.

    Args:
        design: shape ``(n, k)``, in units of the measured latencies.
        prior: mean of the coefficients a priori, shape ``(k,)``. The slope is kept at 0 or above:
            its prior mean is 1, all others' 0.
        spread: standard deviation of the coefficients a priori, shape ``(k,)``.
    """
    weights = np.ones(len(design))
    found = prior
    noise = NOISE
    for _ in range(_ITERATIONS):
        root = np.sqrt(weights)[:, None] / noise
        stacked = np.vstack([design * root, np.diag(1 / spread)])
        wanted = np.concatenate([root[:, 0], prior / spread])
        before, found = found, _solve(stacked, wanted, prior == 1.0)
        errors = np.abs(design @ found - 1)
        noise = max(NOISE, _MAD_TO_SIGMA * float(np.median(errors)))
        weights = np.minimum(1.0, _HUBER * noise / np.maximum(errors, 1e-12))
        if np.allclose(found, before, rtol=1e-8, atol=1e-10):
            break
    leverage = np.einsum("ij,ij->i", design * root, np.linalg.pinv(stacked)[:, : len(design)].T)
    loo = errors / np.maximum(1 - leverage, 1e-9)
    return found, float(loo.mean())


def _solve(design: FloatArray, wanted: FloatArray, is_slope: npt.NDArray[np.bool_]) -> FloatArray:
    """Least squares with the slope at 0 or above: with one bound, either it is idle or it holds."""
    found: FloatArray = np.linalg.lstsq(design, wanted, rcond=None)[0].astype(np.float64)
    if found[is_slope].min() < 0:
        found[is_slope] = 0.0
        found[~is_slope] = np.linalg.lstsq(design[:, ~is_slope], wanted, rcond=None)[0]
    return found
