"""From a sum of ops to a network: what the sum leaves out, fitted to a few measured networks.

What ops take differs from network to network. With ``M`` for the megabytes of weights, each way is
one term of

    latency = constant + slope * sum + per_op * (ops - 1) + per_megabyte * M + kernels
              + M * (crowding * sum + crowded kernels)

- ``slope``: ops in a network share caches and are fused, or get in each other's way;
- ``per_op``: an op on its own pays for a call of the runtime and for reordering its input and
  output, a network pays once. It matters where ops are small and depth varies;
- ``per_megabyte``: an op on its own finds its weights in a cache that a network's do not fit in;
- ``crowding``: the more weights a network has, and the longer it takes until it needs them again,
  the fewer are still in a cache that it shares with others;
- ``kernels``: so much for each op of a kind and kernel size. A runtime has an implementation for
  each, which may read more than its weights and use memory beside its input and output;
- ``crowded kernels``: likewise for each megabyte of weights;
- ``constant``: the rest.

The terms with ``M`` in front are of the network as a whole: no op has a contribution of its own.
Where one is asked for, as in a search, :meth:`Calibration.near` gives the tangent at networks of a
given latency.

Besides, each op may take a little more or less in networks than its table says, by a factor of its
own (:func:`fit_op_factors`); the terms are fitted to ops with these factors.

A few networks cannot tell so many terms apart, and where they all cost about the same not even two.
So this is a Bayesian linear regression on relative errors (a ridge regression whose origin is the
plain sum; Bishop, 2006, section 3.3): a priori the slope is 1 and each other term 0, give or take
:data:`PRIOR` of the latency (:data:`KERNEL_PRIOR` for each kernel size), and the factor of each op
1, give or take :data:`OP_PRIOR`. What the networks do not determine stays as it was; nothing has to
be left out by hand. A network that was mismeasured counts less by Huber's weights (1964), found by
iterated reweighting.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from latency_models.base import FloatArray
from profiler.ops import OpSpec

TERMS = ("constant", "sum", "ops", "weights", "crowding", "kernels")
"""Names of the terms; the last stands for kernels and crowded kernels."""
PRIOR = 0.3
"""Standard deviation a priori of each term's share of a network's latency, and of the slope."""
KERNEL_PRIOR = 0.2
"""The same for what each kernel size adds."""
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
        kernel_ms: added for each op, by :func:`kernel_of` it.
        kernel_crowding: added for each op and each 10^6 bytes of weights of its network, in ms,
            likewise.
        op_factors: by the key of each op, what it takes in networks over what its table says; 1 for
            those that are not in it.
        pivot_crowding: what each 10^6 bytes of weights add to networks of 0 ms by crowding, in ms,
            and by how much that grows with each further ms, on the line through the networks it
            was fitted to.
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
    kernel_ms: Mapping[str, float] = field(default_factory=dict)
    kernel_crowding: Mapping[str, float] = field(default_factory=dict)
    op_factors: Mapping[str, float] = field(default_factory=dict)
    pivot_crowding: tuple[float, float] = (0.0, 0.0)
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
        return self.crowding == 0 and not any(self.kernel_crowding.values())

    def near(self, latency_ms: float) -> Calibration:
        """The additive calibration that is nearest for networks of about some latency.

        It is the tangent, ``M * C`` being near ``M * c + m * C - m * c`` for networks of ``m``
        megabytes of weights and a crowding of ``c``, which are those of that latency on the
        average. Beyond the latencies it was fitted to, the tangent at the nearest of them.
        """
        if self.is_additive:
            return self
        low, high = self.latency_low_ms or 0.0, self.latency_high_ms or math.inf
        at = min(max(latency_ms, low), high)
        crowding, megabytes = (a + b * at for a, b in (self.pivot_crowding, self.pivot_megabytes))
        kernel_ms = dict(self.kernel_ms)
        for kernel, added in self.kernel_crowding.items():
            kernel_ms[kernel] = kernel_ms.get(kernel, 0.0) + added * megabytes
        return replace(
            self,
            constant_ms=self.constant_ms - crowding * megabytes,
            slope=self.slope + self.crowding * megabytes,
            per_megabyte_ms=self.per_megabyte_ms + crowding,
            crowding=0.0,
            kernel_ms=kernel_ms,
            kernel_crowding={},
        )

    def parts_of(self, specs: Sequence[OpSpec], latencies_ms: FloatArray) -> FloatArray:
        """What each op takes by itself, its weights, and how it is crowded; 0 for a free one.

        Args:
            specs: the ops.
            latencies_ms: what each takes by its table, shape ``(len(specs),)``.

        Returns:
            Shape ``(len(specs), 3)``: ms, 10^6 bytes, and ms for each 10^6 bytes of weights of the
            network. Of a network, the sums of these of its ops.
        """
        parts = np.zeros((len(specs), 3))
        for part, spec, latency_ms in zip(parts, specs, latencies_ms.tolist(), strict=True):
            if spec.is_free:
                continue
            adjusted_ms = self.op_factors.get(spec.key, 1.0) * latency_ms
            kernel, megabytes = kernel_of(spec), weight_megabytes(spec)
            own_ms = self.slope * adjusted_ms + self.per_op_ms + self.kernel_ms.get(kernel, 0.0)
            crowded_ms = self.crowding * adjusted_ms + self.kernel_crowding.get(kernel, 0.0)
            part[:] = own_ms + self.per_megabyte_ms * megabytes, megabytes, crowded_ms
        return parts

    def predict_ms(self, parts: FloatArray) -> FloatArray:
        """Latency of networks in ms, shape ``(n,)``.

        Args:
            parts: :meth:`parts_of` the ops of each, summed; shape ``(n, 3)``.
        """
        latency_ms: FloatArray = self.constant_ms + parts[:, 0] + parts[:, 1] * parts[:, 2]
        return latency_ms

    def contributions_ms(self, specs: Sequence[OpSpec], latencies_ms: FloatArray) -> FloatArray:
        """What each op adds to a network that holds it, in ms; at least 0, and 0 for a free one.

        Args:
            specs: the ops.
            latencies_ms: what each takes by its table, shape ``(len(specs),)``.

        Raises:
            InputError: it is not additive.
        """
        if not self.is_additive:
            raise InputError(
                "no op has a contribution of its own",
                "what it adds depends on the weights of the whole network",
                "near(latency_ms) of the calibration or model",
            )
        return np.maximum(self.parts_of(specs, latencies_ms)[:, 0], 0.0)


UNCALIBRATED = Calibration()
"""The plain sum of the ops."""


def weight_megabytes(spec: OpSpec) -> float:
    """Weights of the deployed op in 10^6 bytes of float32, batch norm folded."""
    return 4e-6 * sum(layer.weights for layer in spec.layers)


def kernel_of(spec: OpSpec) -> str:
    """Kind and kernel size of an op, such as ``mbconv/kernel=7``."""
    size = dict(spec.attributes).get("kernel")
    return spec.kind if size is None else f"{spec.kind}/kernel={size}"


@dataclass(frozen=True)
class Rows:
    """What the regression sees of some networks.

    Attributes:
        sums_ms: sums of what their ops take by the table, shape ``(n,)``.
        nodes: how many ops that are not free each has, shape ``(n,)``.
        megabytes: their weights in 10^6 bytes, shape ``(n,)``.
        kernels: how many ops of each :func:`kernel_of` it each has, shape ``(n,)`` each.
    """

    sums_ms: FloatArray
    nodes: FloatArray
    megabytes: FloatArray
    kernels: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def of(cls, networks: Sequence[Sequence[OpSpec]], ops_ms: Mapping[OpSpec, float]) -> Rows:
        """Those of some networks.

        Args:
            networks: the ops of each.
            ops_ms: what each op takes.
        """
        nodes = [[spec for spec in network if not spec.is_free] for network in networks]
        counts = [Counter(map(kernel_of, network)) for network in nodes]
        return cls(
            _array(sum(ops_ms[spec] for spec in network) for network in nodes),
            _array(map(len, nodes)),
            _array(sum(map(weight_megabytes, network)) for network in nodes),
            {
                each: _array(count[each] for count in counts)
                for each in sorted(set().union(*counts))
            },
        )


def calibrate(rows: Rows, measured_ms: FloatArray, terms: Sequence[str] = TERMS) -> Calibration:
    """Fit the terms to measured networks.

    Args:
        rows: of ``n`` networks.
        measured_ms: latency of each, shape ``(n,)``.
        terms: which of :data:`TERMS` may differ from the plain sum's; ``sum`` is always among them.

    Raises:
        InputError: fewer than three networks, or a latency or sum that is not positive.
    """
    _check(rows, measured_ms, terms)
    design = _Design.of(rows, measured_ms, terms)
    shares, loo_error = _robust_ridge(design.columns, design.prior, design.spread)
    found = dict(zip(design.names, (shares * design.scale).tolist(), strict=True))
    kernel_ms = {each: found[each, False] for each in rows.kernels if (each, False) in found}
    kernel_crowding = {each: found[each, True] for each in rows.kernels if (each, True) in found}
    per_op_ms, crowding = found.get("ops", 0.0), found.get("crowding", 0.0)
    crowded = crowding * rows.sums_ms
    for each, added in kernel_crowding.items():
        crowded = crowded + added * rows.kernels[each]
    sums = rows.sums_ms
    return Calibration(
        # The first op of a network is not one too many: its call is the network's own.
        constant_ms=found.get("constant", 0.0) - per_op_ms,
        slope=found["sum"],
        per_op_ms=per_op_ms,
        per_megabyte_ms=found.get("weights", 0.0),
        crowding=crowding,
        kernel_ms=kernel_ms,
        kernel_crowding=kernel_crowding,
        pivot_crowding=_line(measured_ms, crowded),
        pivot_megabytes=_line(measured_ms, rows.megabytes),
        latency_low_ms=float(measured_ms.min()),
        latency_high_ms=float(measured_ms.max()),
        networks=len(sums),
        loo_error=loo_error,
        sum_low_ms=float(sums.min()),
        sum_high_ms=float(sums.max()),
        is_narrow=bool(np.ptp(sums) < NARROW * np.median(sums)),
    )


def fit_op_factors(
    rows: Rows, ops_ms: FloatArray, measured_ms: FloatArray, terms: Sequence[str] = TERMS
) -> FloatArray:
    """By what factor each op takes longer in networks than its table says, shape ``(k,)``.

    The terms are fitted beside them, so that a factor says only what is the op's own. Where the
    networks do not tell, it is 1.

    Args:
        rows: of ``n`` networks.
        ops_ms: what each op takes in each network by its table, as often as it is there; shape
            ``(n, k)``.
        measured_ms: latency of each network, shape ``(n,)``.
        terms: as for :func:`calibrate`.

    Raises:
        InputError: as :func:`calibrate`.
    """
    _check(rows, measured_ms, terms)
    design = _Design.of(rows, measured_ms, terms)
    count = ops_ms.shape[1]
    found, _ = _robust_ridge(
        np.hstack([design.columns, ops_ms / measured_ms[:, None]]),
        np.concatenate([design.prior, np.zeros(count)]),
        np.concatenate([design.spread, np.full(count, OP_PRIOR)]),
    )
    slope = max(float(found[design.names.index("sum")]), _LEAST_SLOPE)
    factors: FloatArray = 1 + np.clip(found[len(design.names) :] / slope, -_MOST, _MOST)
    return factors


@dataclass(frozen=True)
class _Design:
    """What is fitted. A coefficient is its term's share of the latency, but for the slope.

    Attributes:
        names: of the terms; for a kernel size, it and whether it is the crowded one.
        scale: what brings each coefficient back to its own unit, shape ``(k,)``.
        columns: the design matrix, shape ``(n, k)``.
        prior: mean of each coefficient a priori, shape ``(k,)``.
        spread: its standard deviation a priori, shape ``(k,)``.
    """

    names: tuple[str | tuple[str, bool], ...]
    scale: FloatArray
    columns: FloatArray
    prior: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, rows: Rows, measured_ms: FloatArray, terms: Sequence[str]) -> _Design:
        values: dict[str | tuple[str, bool], FloatArray] = {
            "constant": np.ones(len(measured_ms)),
            "sum": rows.sums_ms,
            "ops": np.maximum(rows.nodes - 1, 0),
            "weights": rows.megabytes,
            "crowding": rows.sums_ms * rows.megabytes,
        }
        values = {name: x for name, x in values.items() if name == "sum" or name in terms}
        if "kernels" in terms:
            for kernel, count in rows.kernels.items():
                values[kernel, False], values[kernel, True] = count, count * rows.megabytes
        relative = {name: x / measured_ms for name, x in values.items() if x.any()}
        scale = _array(1 if name == "sum" else 1 / x.mean() for name, x in relative.items())
        return cls(
            tuple(relative),
            scale,
            np.stack(list(relative.values()), axis=1) * scale,
            _array(name == "sum" for name in relative),
            _array(KERNEL_PRIOR if isinstance(name, tuple) else PRIOR for name in relative),
        )


def _array(values: Iterable[float]) -> FloatArray:
    return np.array(list(values), dtype=np.float64)


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Intercept and slope of the least-squares line; level where all ``x`` are equal."""
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope)


def _check(rows: Rows, measured_ms: FloatArray, terms: Sequence[str]) -> None:
    unknown = sorted(set(terms) - set(TERMS))
    if unknown:
        raise InputError(f"no term {unknown[0]!r} of a calibration", hint=", ".join(TERMS))
    if len(rows.sums_ms) < MIN_NETWORKS:
        raise InputError(
            f"{len(rows.sums_ms)} measured networks to calibrate with",
            f"needs at least {MIN_NETWORKS}",
            "measure more whole networks",
        )
    for name, values in (("measured latency", measured_ms), ("sum of ops", rows.sums_ms)):
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
