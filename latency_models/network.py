"""Whole networks as a calibrated sum of their ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from devices.errors import InputError, UntrustworthyError
from latency_models.base import FloatArray, OpLatencyModel
from latency_models.calibration import (
    TERMS,
    UNCALIBRATED,
    Calibration,
    Rows,
    calibrate,
    fit_op_factors,
)
from latency_models.conformal import NO_ERRORS, ConformalErrors
from profiler.ops import OpSpec

Networks = Sequence[Sequence[OpSpec]]


@dataclass(frozen=True)
class SumModel:
    """A network's latency as the sum of its ops, calibrated.

    It is additive, a constant plus a contribution of each op, where its calibration is;
    :meth:`near` makes it so.

    Attributes:
        op_model: what each op takes on its own.
        calibration: what the plain sum leaves out; by default nothing.
        errors: on networks that took part in no fit of this, or in none of one like it.
    """

    op_model: OpLatencyModel
    calibration: Calibration = UNCALIBRATED
    errors: ConformalErrors = NO_ERRORS

    @property
    def is_calibrated(self) -> bool:
        """Whether measured networks went into it."""
        return self.calibration.networks > 0

    @property
    def constant_ms(self) -> float:
        """What every network costs, whatever its ops."""
        return self.calibration.constant_ms

    def near(self, latency_ms: float) -> SumModel:
        """The additive model that is nearest for networks of about some latency."""
        return replace(self, calibration=self.calibration.near(latency_ms))

    def contributions_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """What each op adds to a network that holds it, in ms, shape ``(len(specs),)``.

        At least 0, and 0 for free ops.

        Raises:
            MissingEntryError: an op that the op model cannot answer for.
            InputError: the model is not additive.
        """
        return self.calibration.contributions_ms(specs, self.op_model.predict_ms(specs))

    def predict_ms(self, networks: Networks) -> FloatArray:
        """Latency of each network in ms, shape ``(len(networks),)``.

        Raises:
            MissingEntryError: a network holds an op that the op model cannot answer for.
            UntrustworthyError: a network so much faster than those calibrated on that nothing, or
                less, is left of its latency.
        """
        if self.calibration.is_additive:
            distinct = _distinct(networks)
            added = dict(zip(distinct, self.contributions_ms(distinct).tolist(), strict=True))
            sums = [sum(added[spec] for spec in network) for network in networks]
            latencies = self.constant_ms + np.array(sums, dtype=np.float64)
        else:
            latencies = self.calibration.predict_ms(self._parts(networks))
        if self.is_calibrated and latencies.size and latencies.min() <= 0:
            calibration = self.calibration
            raise UntrustworthyError(
                f"a network would take {latencies.min():.4f} ms",
                f"the sums of ops calibrated on were {calibration.sum_low_ms:.4f} to"
                f" {calibration.sum_high_ms:.4f} ms",
                "calibrate on smaller networks too",
            )
        return latencies

    def interval_ms(self, networks: Networks, coverage: float = 0.9) -> FloatArray:
        """Where each network's latency lies with some probability, in ms, shape ``(n, 2)``.

        It holds for networks drawn like those in :attr:`errors`, measured like those.

        Args:
            networks: the ops of each network.
            coverage: the probability.

        Raises:
            MissingEntryError, UntrustworthyError: as :meth:`predict_ms`.
            InputError: a coverage that is not between 0 and 1.
            UntrustworthyError: too few networks were measured to say so much.
        """
        return self.errors.interval_ms(self.predict_ms(networks), coverage)

    def fit(
        self,
        networks: Networks,
        measured_ms: Sequence[float] | FloatArray,
        terms: Sequence[str] = TERMS,
    ) -> SumModel:
        """A copy that is calibrated on measured networks; this model stays as it is.

        Args:
            networks: the ops of each network; at least three networks. Best from all over the
                range of latencies that will be asked for.
            measured_ms: latency of each, shape ``(len(networks),)``.
            terms: which terms of :mod:`latency_models.calibration` are fitted, for comparison;
                ``("sum",)`` is a factor alone.

        Raises:
            InputError: too few networks, or a latency that is not positive.
            MissingEntryError: a network holds an op that the op model cannot answer for.
        """
        measured = np.asarray(measured_ms, dtype=np.float64)
        if measured.shape != (len(networks),):
            raise InputError(f"{len(networks)} networks with latencies of shape {measured.shape}")
        distinct = [spec for spec in _distinct(networks) if not spec.is_free]
        ops_ms = self.op_model.predict_ms(distinct)
        counts = [[network.count(spec) for spec in distinct] for network in map(list, networks)]
        factors = fit_op_factors(
            Rows.of(networks, dict(zip(distinct, ops_ms.tolist(), strict=True))),
            np.array(counts, dtype=np.float64).reshape(len(counts), len(distinct)) * ops_ms,
            measured,
            terms,
        )
        adjusted_ms = dict(zip(distinct, (factors * ops_ms).tolist(), strict=True))
        found = calibrate(Rows.of(networks, adjusted_ms), measured, terms)
        by_key = {spec.key: each for spec, each in zip(distinct, factors.tolist(), strict=True)}
        return replace(self, calibration=replace(found, op_factors=by_key))

    def _parts(self, networks: Networks) -> FloatArray:
        """:meth:`Calibration.parts_of` each network, shape ``(len(networks), 3)``."""
        distinct = _distinct(networks)
        parts = self.calibration.parts_of(distinct, self.op_model.predict_ms(distinct))
        of = dict(zip(distinct, parts, strict=True))
        sums = [np.sum([of[spec] for spec in network], axis=0) for network in networks]
        return np.array(sums, dtype=np.float64).reshape(len(sums), 3)


def _distinct(networks: Networks) -> list[OpSpec]:
    return list(dict.fromkeys(spec for network in networks for spec in network))
