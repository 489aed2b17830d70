"""How wrong a prediction may be: conformal intervals from errors on samples in no fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from devices.errors import InputError, UntrustworthyError
from latency_models.base import FloatArray


@dataclass(frozen=True)
class ConformalErrors:
    """Errors of predictions for samples that took part in no fit, as a measure of the next one.

    Where the next sample is drawn like these, its measured latency lies within the interval with
    the probability asked for, whatever the model and however the errors are distributed: split
    and cross-conformal prediction (Vovk, Gammerman and Shafer, 2005; Vovk, 2015; Lei et al.,
    2018), with the logarithm of measured over predicted as score.

    Attributes:
        logs: of measured over predicted, ascending.
    """

    logs: tuple[float, ...] = ()

    @classmethod
    def of(cls, predicted_ms: Iterable[float], measured_ms: Iterable[float]) -> Self:
        """The errors of some predictions, both all positive."""
        pairs = zip(predicted_ms, measured_ms, strict=True)
        return cls(tuple(sorted(math.log(measured / predicted) for predicted, measured in pairs)))

    def __len__(self) -> int:
        return len(self.logs)

    def radius(self, coverage: float) -> float:
        """Half the width of the interval, as a logarithm.

        Args:
            coverage: probability that the measured latency is within, e.g. 0.9.

        Raises:
            InputError: a coverage that is not between 0 and 1.
            UntrustworthyError: too few errors are known to say so much.
        """
        return self._quantile([abs(log) for log in self.logs], coverage)

    def upper_factor(self, probability: float) -> float:
        """What a prediction is multiplied by to hold with some probability, from above only.

        Args:
            probability: that the measured latency is at most that.

        Raises:
            InputError, UntrustworthyError: as :meth:`radius`.
        """
        return math.exp(self._quantile(self.logs, probability))

    def interval_ms(self, predicted_ms: FloatArray, coverage: float) -> FloatArray:
        """Lower and upper end of the interval around each prediction, shape ``(n, 2)``.

        Args:
            predicted_ms: shape ``(n,)``.
            coverage: probability that the measured latency is within.

        Raises:
            InputError, UntrustworthyError: as :meth:`radius`.
        """
        factor = math.exp(self.radius(coverage))
        return np.stack([predicted_ms / factor, predicted_ms * factor], axis=-1)

    def __add__(self, other: ConformalErrors) -> ConformalErrors:
        return ConformalErrors(tuple(sorted(self.logs + other.logs)))

    def _quantile(self, scores: Sequence[float], coverage: float) -> float:
        if not 0 < coverage < 1:
            raise InputError(f"coverage {coverage}", "must be between 0 and 1", "0.9")
        rank = math.ceil((len(scores) + 1) * coverage)
        if rank > len(scores):
            least = math.ceil(coverage / (1 - coverage) - 1e-9)
            raise UntrustworthyError(
                f"an interval that holds in {coverage:.3g} of all cases cannot be given",
                f"the error is known of {len(scores)} samples only, {least} are needed",
                "measure more of them, or ask for less",
            )
        return sorted(scores)[rank - 1]


NO_ERRORS = ConformalErrors()
"""Of a model that was tested on nothing."""
