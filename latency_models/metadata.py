"""What a fitted model is of, what went into it, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latency_models.evaluate import Evaluation
from latency_models.regressors import KindScore


@dataclass(frozen=True)
class NetworkFigure:
    """A measured network and what was predicted for it.

    Attributes:
        id: of the architecture.
        measured_ms: on the target.
        predicted_ms: by the calibrated model.
        sum_ms: plain sum of its ops.
    """

    id: str
    measured_ms: float
    predicted_ms: float
    sum_ms: float


@dataclass(frozen=True)
class ModelMetadata:
    """Where a fitted model is from and how near it comes.

    Attributes:
        target: what was measured on, as a string.
        space: canonical string of the networks' search space; empty where it was not said.
        environment_id: of the machine the table was measured on.
        table_digest: SHA-256 of the table; another digest means that figures have changed since.
        split_half_error: of the table, relative; ``None`` where it is not known.
        seed: of the split of the networks and of the regressors.
        calibration: the networks that the model was calibrated on.
        held_out: the networks that it was evaluated on; none of them took part in any fit.
        evaluation: of the calibrated model on the held-out networks.
        uncalibrated: of the plain sum of ops on the same networks.
        scores: cross-validation of each kind's regressor, one for each way of holding ops out.
        coverage: share of the held-out networks within the 90 % interval that the errors on the
            others give; ``None`` where too few are known.
    """

    target: str
    space: str
    environment_id: str
    table_digest: str
    split_half_error: float | None
    seed: int
    calibration: tuple[NetworkFigure, ...]
    held_out: tuple[NetworkFigure, ...]
    evaluation: Evaluation
    uncalibrated: Evaluation
    scores: Mapping[str, tuple[KindScore, ...]]
    coverage: float | None = None
