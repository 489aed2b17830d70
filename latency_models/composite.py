"""The table where it has the op, a regressor where it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from devices.errors import MissingEntryError
from latency_models.base import FloatArray
from latency_models.lookup import LookupModel
from latency_models.regressors import OpRegressors
from profiler.ops import OpSpec

Source = Literal["measured", "regressed", "free"]


class OpLatency(NamedTuple):
    """The latency of an op and where it is from.

    Attributes:
        source: ``measured``, ``regressed``, or ``free`` for an op that a network has no node for.
        latency_ms: 0 for a free op.
        is_extrapolated: regressed, and outside of the range that was measured.
    """

    source: Source
    latency_ms: float
    is_extrapolated: bool = False


@dataclass(frozen=True)
class CompositeModel:
    """Measured latencies first, predicted ones for ops that were not measured.

    Attributes:
        lookup: the table.
        regressors: fitted on it.
    """

    lookup: LookupModel
    regressors: OpRegressors

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Latency of each op on its own in ms, shape ``(len(specs),)``; free ops cost 0.

        Raises:
            MissingEntryError: an op neither the table nor a regressor can answer for, with the
                reasons of both and the command that measures it.
        """
        return np.array([latency.latency_ms for latency in self.explain(specs)], dtype=np.float64)

    def explain(self, specs: Sequence[OpSpec]) -> list[OpLatency]:
        """Latency of each op, and whether it was measured or regressed.

        Raises:
            MissingEntryError: as :meth:`predict_ms`.
        """
        known, missing = self._parted(specs)
        regressed = dict(zip(missing, self.regressors.predict_ms(missing).tolist(), strict=True))
        measured = dict(zip(known, self.lookup.predict_ms(known).tolist(), strict=True))
        return [self._explained(spec, measured, regressed) for spec in specs]

    def interval_ms(self, specs: Sequence[OpSpec], coverage: float = 0.9) -> FloatArray:
        """Where each op's latency lies with some probability, in ms, shape ``(len(specs), 2)``.

        That of a measured op is the interval of its measurement; NaN where the table does not know
        it, as of one that was imported.

        Raises:
            MissingEntryError: as :meth:`predict_ms`.
            InputError, UntrustworthyError: as
                :meth:`latency_models.regressors.OpRegressors.interval_ms`.
        """
        known, missing = self._parted(specs)
        ends = self.lookup.interval_ms(known, coverage).tolist()
        ends += self.regressors.interval_ms(missing, coverage).tolist()
        of = dict(zip([*known, *missing], ends, strict=True))
        return np.array([of[spec] for spec in specs], dtype=np.float64).reshape(len(specs), 2)

    def _parted(self, specs: Sequence[OpSpec]) -> tuple[list[OpSpec], list[OpSpec]]:
        """The distinct ops that the table has, and those that regressors answer for."""
        distinct = dict.fromkeys(specs)
        missing = [spec for spec in distinct if spec not in self.lookup]
        for spec in missing:
            self._check(spec)
        return [spec for spec in distinct if spec in self.lookup], missing

    def _check(self, spec: OpSpec) -> None:
        objection = self.regressors.objection(spec)
        if not objection:
            return
        try:
            self.lookup.predict_ms([spec])
        except MissingEntryError as error:
            why = f"{error.why}; not regressed either: {objection}"
            raise MissingEntryError(error.what, why, error.hint) from None

    def _explained(
        self, spec: OpSpec, measured: dict[OpSpec, float], regressed: dict[OpSpec, float]
    ) -> OpLatency:
        if spec.is_free:
            return OpLatency("free", 0.0)
        if spec in regressed:
            outside = self.regressors.is_extrapolated(spec)
            return OpLatency("regressed", regressed[spec], outside)
        return OpLatency("measured", measured[spec])
