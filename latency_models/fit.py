"""From a table and some measured networks to a model of known error, in one call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from devices.errors import InputError
from latency_models.calibration import MIN_NETWORKS, TERMS
from latency_models.composite import CompositeModel
from latency_models.evaluate import Evaluation, evaluate
from latency_models.lookup import LookupModel
from latency_models.metadata import ModelMetadata, NetworkFigure
from latency_models.network import SumModel
from latency_models.regressors import KindScore, OpRegressors
from profiler.ops import OpSpec
from profiler.table import LatencyTable

CALIBRATION_NETWORKS = 40
"""How many networks a model is calibrated on; two thirds of them where there are fewer than 60."""


@dataclass(frozen=True)
class NetworkSample:
    """A whole network that was measured.

    Attributes:
        id: of the architecture.
        ops: in order of execution, free ones included.
        measured_ms: on the table's target.
    """

    id: str
    ops: tuple[OpSpec, ...]
    measured_ms: float


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, and what is known about it.

    Attributes:
        model: prices whole networks.
        metadata: where it is from and how near it comes.
    """

    model: SumModel
    metadata: ModelMetadata

    @property
    def evaluation(self) -> Evaluation:
        """Of the calibrated model, on networks that took part in no fit."""
        return self.metadata.evaluation

    @property
    def uncalibrated(self) -> Evaluation:
        """Of the plain sum of ops, on the same networks."""
        return self.metadata.uncalibrated

    @property
    def scores(self) -> Mapping[str, KindScore]:
        """Cross-validation of each kind's regressor."""
        return self.metadata.scores

    @property
    def calibration(self) -> tuple[str, ...]:
        """Ids of the networks it was calibrated on."""
        return tuple(figure.id for figure in self.metadata.calibration)

    @property
    def held_out(self) -> tuple[str, ...]:
        """Ids of the networks it was evaluated on."""
        return tuple(figure.id for figure in self.metadata.held_out)


def fit_latency_model(
    table: LatencyTable,
    networks: Sequence[NetworkSample],
    *,
    carriers: Sequence[NetworkSample] = (),
    calibration: int | None = None,
    seed: int = 0,
    space: str = "",
    terms: Sequence[str] = TERMS,
) -> FittedModel:
    """Fit regressors to a table's ops, calibrate the sum of ops, and test it on the other networks.

    The networks are shuffled and split. Networks that run the same ops (their choices differ only
    in which blocks are skipped) stay on one side, so that none is held out that was seen.

    Args:
        table: measured ops.
        networks: measured on the same target in the same environment, best in the same rounds.
        carriers: networks that the table's ops were measured beside; calibrated on too, and never
            held out.
        calibration: how many of the networks to calibrate on, by default two thirds and at most
            :data:`CALIBRATION_NETWORKS`; all others are held out, but for those that run the same
            ops as a carrier.
        seed: of the split and of the regressors.
        space: canonical string of the networks' search space, to be kept with the model.
        terms: which terms of :mod:`latency_models.calibration` are fitted.

    Raises:
        InputError: fewer than three networks to calibrate on, none left to test on, an id given
            twice, a latency that is not positive.
        MissingEntryError: a network holds an op that was neither measured nor can be regressed.
    """
    if calibration is None:
        calibration = max(MIN_NETWORKS, min(CALIBRATION_NETWORKS, 2 * len(networks) // 3))
    fitted_on, held_out = _split(networks, carriers, calibration, seed)
    fitted_on = [*fitted_on, *carriers]
    regressors = OpRegressors.fit(list(table.ops), list(table.ops.values()), seed=seed)
    plain = SumModel(CompositeModel(LookupModel(table), regressors))
    model = plain.fit(
        [sample.ops for sample in fitted_on], [sample.measured_ms for sample in fitted_on], terms
    )
    held_out_figures = _figures(held_out, model, plain)
    noise = _known(table.split_half_error_of("network"))
    measured = [figure.measured_ms for figure in held_out_figures]
    metadata = ModelMetadata(
        target=table.target,
        space=space,
        environment_id=table.environment_id,
        table_digest=table.digest,
        split_half_error=_known(table.split_half_error),
        seed=seed,
        calibration=_figures(fitted_on, model, plain),
        held_out=held_out_figures,
        evaluation=evaluate([f.predicted_ms for f in held_out_figures], measured, noise),
        uncalibrated=evaluate([f.sum_ms for f in held_out_figures], measured, noise),
        scores=regressors.scores_,
    )
    return FittedModel(model, metadata)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _figures(
    samples: Sequence[NetworkSample], model: SumModel, plain: SumModel
) -> tuple[NetworkFigure, ...]:
    ops = [sample.ops for sample in samples]
    predicted, sums = model.predict_ms(ops).tolist(), plain.predict_ms(ops).tolist()
    return tuple(
        NetworkFigure(sample.id, float(sample.measured_ms), predicted_ms, sum_ms)
        for sample, predicted_ms, sum_ms in zip(samples, predicted, sums, strict=True)
    )


def _split(
    networks: Sequence[NetworkSample],
    carriers: Sequence[NetworkSample],
    calibration: int,
    seed: int,
) -> tuple[list[NetworkSample], list[NetworkSample]]:
    """Shuffle; the first networks calibrate, with whatever runs the same ops as one of them.

    So do those that run the same ops as a carrier.
    """
    if calibration < MIN_NETWORKS:
        raise InputError(f"{calibration} networks to calibrate on", f"needs {MIN_NETWORKS} or more")
    ids = [sample.id for sample in (*networks, *carriers)]
    if len(set(ids)) != len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise InputError(f"network {twice} is given twice")
    alike: dict[tuple[OpSpec, ...], list[NetworkSample]] = {}
    for i in np.random.default_rng(seed).permutation(len(networks)):
        alike.setdefault(_nodes(networks[i]), []).append(networks[i])
    carried = {_nodes(carrier) for carrier in carriers}
    fitted_on: list[NetworkSample] = []
    held_out: list[NetworkSample] = []
    for nodes, group in alike.items():
        is_seen = nodes in carried or len(fitted_on) < calibration
        (fitted_on if is_seen else held_out).extend(group)
    if not held_out:
        raise InputError(
            f"{len(networks)} measured networks",
            f"{calibration} to calibrate on leave none to test on",
            "measure more whole networks, or calibrate on fewer",
        )
    return fitted_on, held_out


def _nodes(sample: NetworkSample) -> tuple[OpSpec, ...]:
    return tuple(spec for spec in sample.ops if not spec.is_free)
