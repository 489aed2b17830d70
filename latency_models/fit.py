"""From a table and some measured networks to a model of known error, in one call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import GroupKFold

from devices.errors import InputError, UntrustworthyError
from latency_models.calibration import MIN_NETWORKS, TERMS
from latency_models.composite import CompositeModel
from latency_models.conformal import NO_ERRORS, ConformalErrors
from latency_models.evaluate import Evaluation, evaluate
from latency_models.lookup import LookupModel
from latency_models.metadata import ModelMetadata, NetworkFigure
from latency_models.network import SumModel
from latency_models.regressors import KindScore, OpRegressors
from profiler.ops import OpSpec
from profiler.table import LatencyTable

CALIBRATION_NETWORKS = 40
"""How many networks a model is calibrated on; two thirds of them where there are fewer than 60."""

ERROR_FOLDS = 10
"""Parts that the networks calibrated on are split into, to know how wrong the model may be."""
COVERAGE = 0.9
"""Of the interval that is tested on the held-out networks."""


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
        regressors: of ops that are not in the table.
    """

    model: SumModel
    metadata: ModelMetadata
    regressors: OpRegressors

    @property
    def evaluation(self) -> Evaluation:
        """Of the calibrated model, on networks that took part in no fit."""
        return self.metadata.evaluation

    @property
    def uncalibrated(self) -> Evaluation:
        """Of the plain sum of ops, on the same networks."""
        return self.metadata.uncalibrated

    @property
    def scores(self) -> Mapping[str, tuple[KindScore, ...]]:
        """Cross-validation of each kind's regressor, one for each way of holding ops out."""
        return self.metadata.scores

    @property
    def regressor_names(self) -> Mapping[str, str]:
        """Which regressor was chosen for each kind."""
        return {kind: each.name for kind, each in self.regressors.by_kind.items()}

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
    regressors: OpRegressors | None = None,
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
        regressors: fitted to the table's ops with the same seed, where there are some already.

    Raises:
        InputError: fewer than three networks to calibrate on, none left to test on, an id given
            twice, a latency that is not positive, regressors of another seed.
        MissingEntryError: a network holds an op that was neither measured nor can be regressed.
    """
    if calibration is None:
        calibration = max(MIN_NETWORKS, min(CALIBRATION_NETWORKS, 2 * len(networks) // 3))
    drawn, held_out = _split(networks, carriers, calibration, seed)
    fitted_on = [*drawn, *carriers]
    if regressors is None:
        regressors = OpRegressors.fit(list(table.ops), list(table.ops.values()), seed=seed)
    elif regressors.seed != seed:
        raise InputError(f"regressors of seed {regressors.seed}", f"the model is of seed {seed}")
    plain = SumModel(CompositeModel(LookupModel(table), regressors))
    model = _calibrated(plain, fitted_on, terms)
    crossed = _cross_errors(plain, drawn, carriers, terms, seed)
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
        coverage=_coverage(crossed, held_out_figures),
    )
    tested = ConformalErrors.of([f.predicted_ms for f in held_out_figures], measured)
    return FittedModel(replace(model, errors=crossed + tested), metadata, regressors)


def _calibrated(
    plain: SumModel, samples: Sequence[NetworkSample], terms: Sequence[str]
) -> SumModel:
    networks = [sample.ops for sample in samples]
    return plain.fit(networks, [sample.measured_ms for sample in samples], terms)


def _cross_errors(
    plain: SumModel,
    samples: Sequence[NetworkSample],
    carriers: Sequence[NetworkSample],
    terms: Sequence[str],
    seed: int,
) -> ConformalErrors:
    """Errors on the networks calibrated on, each by a calibration without it.

    Carriers are drawn otherwise, so they are calibrated on only. Nothing is known where what is
    left of a fold is too little to calibrate on.
    """
    alike = {nodes: i for i, nodes in enumerate(dict.fromkeys(map(_nodes, samples)))}
    count = min(ERROR_FOLDS, len(alike))
    if count < 2:
        return NO_ERRORS
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    errors = NO_ERRORS
    for train, test in splitter.split(samples, groups=[alike[_nodes(one)] for one in samples]):
        kept = [*(samples[i] for i in train), *carriers]
        if len(kept) < MIN_NETWORKS:
            return NO_ERRORS
        model = _calibrated(plain, kept, terms)
        predicted = model.predict_ms([samples[i].ops for i in test])
        errors += ConformalErrors.of(predicted, [samples[i].measured_ms for i in test])
    return errors


def _coverage(errors: ConformalErrors, figures: Sequence[NetworkFigure]) -> float | None:
    """Share of some networks within the interval that the errors on others give."""
    predicted = np.array([figure.predicted_ms for figure in figures])
    measured = np.array([figure.measured_ms for figure in figures])
    try:
        low, high = errors.interval_ms(predicted, COVERAGE).T
    except UntrustworthyError:
        return None
    return float(np.mean((low <= measured) & (measured <= high)))


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
