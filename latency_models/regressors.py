"""From measured ops to ops of the same kinds that were not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from devices.errors import InputError, MissingEntryError
from latency_models.base import FloatArray
from latency_models.conformal import NO_ERRORS, ConformalErrors
from latency_models.domain import Domain
from latency_models.features import part_matrix, predictor_matrix
from latency_models.monotone import MonotoneBounds
from latency_models.selection import SPLITS, OpData, choose, folds, inputs
from profiler.ops import OpSpec

MIN_OPS = 8
"""Fewest measured ops of a kind that its regressor is fitted on."""


@dataclass(frozen=True)
class KindScore:
    """How well a kind's ops are predicted when all those alike in some respect are held out.

    Attributes:
        kind: name of the kind.
        held_out: what those held out together have in common: one of
            :data:`latency_models.selection.SPLITS`.
        n: held-out ops that were predicted.
        refused: held-out ops too far from the rest to be predicted.
        median_error: median relative error of the predicted ones.
        within_10: share of them within 10 % of what was measured.
    """

    kind: str
    held_out: str
    n: int
    refused: int
    median_error: float
    within_10: float


@dataclass(frozen=True)
class KindRegressor:
    """The regressor of one kind of op, and where it may be asked.

    Attributes:
        name: which of :data:`latency_models.selection.CANDIDATES`.
        estimator: fitted on the kind's features.
        domain: what was measured.
        bounds: what was measured, as bounds on the rest.
        errors: on ops of shapes held out; empty where there is one shape only.
    """

    name: str
    estimator: Any
    domain: Domain
    bounds: MonotoneBounds
    errors: ConformalErrors = NO_ERRORS

    @classmethod
    def fit(cls, kind: str, specs: Sequence[OpSpec], latencies_ms: FloatArray, seed: int) -> Self:
        """Choose a regressor and fit it to measured ops of one kind.

        Args:
            kind: name of the kind.
            specs: ops of that kind, at least one.
            latencies_ms: what they take, shape ``(len(specs),)``.
            seed: of everything drawn at random.
        """
        data = OpData.of(kind, specs, latencies_ms)
        return cls.fit_chosen(data, choose(data, seed), seed)

    @classmethod
    def fit_chosen(cls, data: OpData, name: str, seed: int) -> Self:
        """Fit the regressor of a name."""
        return cls(
            name,
            data.fit(name, seed),
            Domain.of(data.kind, data.specs),
            MonotoneBounds.of(data.kind, data.specs, data.latencies_ms),
        )

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Latency of each op in ms, shape ``(len(specs),)``; ask the domain first."""
        kind = self.domain.kind
        rows = inputs(self.estimator, predictor_matrix(kind, specs), part_matrix(kind, specs))
        return self.bounds.clip(kind, specs, self.estimator.predict(rows))


@dataclass(frozen=True)
class OpRegressors:
    """One regressor a kind, fitted on measured ops; never asked outside of what they span.

    Attributes:
        by_kind: the regressor of each kind with enough measured ops.
        counts: how many ops of each kind were measured.
        min_ops: fewest of a kind that a regressor is fitted on.
        seed: of everything that was drawn at random.
        scores_: cross-validation of each kind in ``by_kind``, one for each way of holding out
            that its ops allow.
    """

    by_kind: Mapping[str, KindRegressor]
    counts: Mapping[str, int]
    min_ops: int = MIN_OPS
    seed: int = 0
    scores_: Mapping[str, tuple[KindScore, ...]] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        specs: Sequence[OpSpec],
        latencies_ms: Sequence[float] | FloatArray,
        *,
        min_ops: int = MIN_OPS,
        seed: int = 0,
    ) -> Self:
        """Fit a regressor to each kind with enough measured ops, and cross-validate it.

        Args:
            specs: distinct measured ops of any kinds.
            latencies_ms: what they take, all positive, shape ``(len(specs),)``.
            min_ops: fewest ops of a kind worth a regressor.
            seed: of everything drawn at random.

        Raises:
            InputError: lengths that differ, an op given twice, a latency that is not positive.
        """
        latencies = np.asarray(latencies_ms, dtype=np.float64)
        if latencies.shape != (len(specs),):
            raise InputError(f"{len(specs)} ops with latencies of shape {latencies.shape}")
        if len(set(specs)) != len(specs):
            raise InputError("an op is given twice")
        for spec, value in zip(specs, latencies, strict=True):
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{spec.key} takes {value} ms", "not a positive latency")
        counts: dict[str, int] = {}
        by_kind: dict[str, KindRegressor] = {}
        scores: dict[str, tuple[KindScore, ...]] = {}
        # By key, so that a model made anew from the same ops in another order is the same.
        order = sorted(range(len(specs)), key=lambda i: specs[i].key)
        for kind in sorted({spec.kind for spec in specs}):
            rows = [i for i in order if specs[i].kind == kind]
            counts[kind] = len(rows)
            if len(rows) < min_ops:
                continue
            data = OpData.of(kind, [specs[i] for i in rows], latencies[rows])
            regressor = KindRegressor.fit_chosen(data, choose(data, seed), seed)
            found, errors = _cross_validate(data, regressor.name, seed)
            by_kind[kind] = replace(regressor, errors=errors)
            if found:
                scores[kind] = found
        return cls(by_kind, counts, min_ops, seed, scores)

    def objection(self, spec: OpSpec) -> str:
        """Why an op cannot be predicted; empty where it can."""
        if spec.is_free:
            return ""
        if spec.kind not in self.by_kind:
            return (
                f"{self.counts.get(spec.kind, 0)} ops of kind {spec.kind} were measured,"
                f" a regressor needs {self.min_ops}"
            )
        return self.by_kind[spec.kind].domain.objection(spec)

    def is_extrapolated(self, spec: OpSpec) -> bool:
        """Whether an op lies outside of what was measured, though not too far to be predicted."""
        return not spec.is_free and self.by_kind[spec.kind].domain.is_outside(spec)

    def interval_ms(self, specs: Sequence[OpSpec], coverage: float = 0.9) -> FloatArray:
        """Where each op's latency lies with some probability, in ms, shape ``(len(specs), 2)``.

        The errors of the regressor on shapes held out say how wide that is.

        Args:
            specs: ops of any kinds.
            coverage: the probability.

        Raises:
            MissingEntryError: as :meth:`predict_ms`.
            InputError: a coverage that is not between 0 and 1.
            UntrustworthyError: the errors are known of too few ops.
        """
        predicted = self.predict_ms(specs)
        ends = np.zeros((len(specs), 2))
        for i, spec in enumerate(specs):
            if not spec.is_free:
                errors = self.by_kind[spec.kind].errors
                ends[i] = errors.interval_ms(predicted[i : i + 1], coverage)[0]
        return ends

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Latency of each op in ms, shape ``(len(specs),)``; free ops cost 0.

        Raises:
            MissingEntryError: an op of a kind with too few measured ops, or too far from them.
        """
        rows: dict[str, list[int]] = {}
        for i, spec in enumerate(specs):
            objection = self.objection(spec)
            if objection:
                raise MissingEntryError(
                    f"{spec.key} cannot be predicted",
                    objection,
                    f"measure it: lutier profile --op '{spec.key}'",
                )
            if not spec.is_free:
                rows.setdefault(spec.kind, []).append(i)
        latencies = np.zeros(len(specs))
        for kind, chosen in rows.items():
            latencies[chosen] = self.by_kind[kind].predict_ms([specs[i] for i in chosen])
        return latencies


def _cross_validate(
    data: OpData, name: str, seed: int
) -> tuple[tuple[KindScore, ...], ConformalErrors]:
    """Scores of each way of holding out that there is, and the errors on shapes held out.

    On shapes the choice of the regressor is made anew in each fold; the other scores are of the
    regressor that was chosen.
    """
    scores = []
    errors = NO_ERRORS
    for split in SPLITS:
        logs: list[float] = []
        refused = 0
        for train, test in folds(data.specs, split):
            fold, rows = data.take(train), data.take(test)
            chosen = choose(fold, seed) if split == "shapes" else name
            regressor = KindRegressor.fit_chosen(fold, chosen, seed)
            answered = [
                i for i, spec in enumerate(rows.specs) if not regressor.domain.objection(spec)
            ]
            refused += len(rows) - len(answered)
            if answered:
                known = rows.take(answered)
                logs.extend(np.log(known.latencies_ms / regressor.predict_ms(known.specs)))
        if logs:
            off = np.abs(np.expm1(-np.array(logs)))
            scores.append(
                KindScore(
                    data.kind,
                    split,
                    len(off),
                    refused,
                    float(np.median(off)),
                    float(np.mean(off <= 0.1)),
                )
            )
        if split == "shapes":
            errors = ConformalErrors(tuple(sorted(map(float, logs))))
    return tuple(scores), errors
