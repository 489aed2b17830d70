"""From measured ops to ops of the same kinds that were not measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from sklearn.model_selection import GroupKFold

from devices.errors import InputError, MissingEntryError
from latency_models.base import FloatArray
from latency_models.domain import Domain
from latency_models.estimator import LatencyRegressor
from latency_models.features import predictor_matrix
from profiler.ops import OpSpec

MIN_OPS = 8
"""Fewest measured ops of a kind that its regressor is fitted on."""
_FOLDS = 5


@dataclass(frozen=True)
class KindScore:
    """How well a kind's ops are predicted when all ops of their shape are held out.

    Attributes:
        kind: name of the kind.
        n: held-out ops that were predicted.
        refused: held-out ops too far from the rest to be predicted.
        median_error: median relative error of the predicted ones.
        within_10: share of them within 10 % of what was measured.
    """

    kind: str
    n: int
    refused: int
    median_error: float
    within_10: float


@dataclass(frozen=True)
class KindRegressor:
    """The regressor of one kind of op, and where it may be asked.

    Attributes:
        estimator: fitted on the kind's predictors.
        domain: what was measured.
    """

    estimator: LatencyRegressor
    domain: Domain

    @classmethod
    def fit(cls, kind: str, specs: Sequence[OpSpec], latencies_ms: FloatArray, seed: int) -> Self:
        """Fit to measured ops of one kind.

        Args:
            kind: name of the kind.
            specs: ops of that kind, at least one.
            latencies_ms: what they take, shape ``(len(specs),)``.
            seed: of everything drawn at random.
        """
        estimator = LatencyRegressor(random_state=seed)
        estimator.fit(predictor_matrix(kind, specs), latencies_ms)
        return cls(estimator, Domain.of(kind, specs))

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Latency of each op in ms, shape ``(len(specs),)``; ask the domain first."""
        return self.estimator.predict(predictor_matrix(self.domain.kind, specs))


@dataclass(frozen=True)
class OpRegressors:
    """One regressor a kind, fitted on measured ops; never asked outside of what they span.

    Attributes:
        by_kind: the regressor of each kind with enough measured ops.
        counts: how many ops of each kind were measured.
        min_ops: fewest of a kind that a regressor is fitted on.
        scores_: cross-validation of each kind in ``by_kind`` that has two shapes or more.
    """

    by_kind: Mapping[str, KindRegressor]
    counts: Mapping[str, int]
    min_ops: int = MIN_OPS
    scores_: Mapping[str, KindScore] = field(default_factory=dict)

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
        scores: dict[str, KindScore] = {}
        for kind in sorted({spec.kind for spec in specs}):
            rows = [i for i, spec in enumerate(specs) if spec.kind == kind]
            counts[kind] = len(rows)
            if len(rows) < min_ops:
                continue
            chosen, measured = [specs[i] for i in rows], latencies[rows]
            by_kind[kind] = KindRegressor.fit(kind, chosen, measured, seed)
            score = _cross_validate(kind, chosen, measured, seed)
            if score is not None:
                scores[kind] = score
        return cls(by_kind, counts, min_ops, scores)

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
    kind: str, specs: Sequence[OpSpec], latencies_ms: FloatArray, seed: int
) -> KindScore | None:
    """Hold whole shapes out in turn; ``None`` where there is one shape only."""
    errors: list[float] = []
    refused = 0
    for train, test in _folds(specs):
        regressor = KindRegressor.fit(kind, [specs[i] for i in train], latencies_ms[train], seed)
        answered = [i for i in test if not regressor.domain.objection(specs[i])]
        refused += len(test) - len(answered)
        if answered:
            predicted = regressor.predict_ms([specs[i] for i in answered])
            errors.extend(np.abs(predicted / latencies_ms[answered] - 1))
    if not errors:
        return None
    array = np.array(errors)
    return KindScore(
        kind, len(array), refused, float(np.median(array)), float(np.mean(array <= 0.1))
    )


def _folds(specs: Sequence[OpSpec]) -> Iterator[tuple[list[int], list[int]]]:
    """Rows to fit and rows to predict: ops of one input shape and one width stay together."""
    shapes = [(spec.input_shape, spec.output_shape[0]) for spec in specs]
    number = {shape: i for i, shape in enumerate(dict.fromkeys(shapes))}
    if len(number) < 2:
        return
    groups = [number[shape] for shape in shapes]
    splitter = GroupKFold(n_splits=min(_FOLDS, len(number)))
    for train, test in splitter.split(groups, groups=groups):
        yield train.tolist(), test.tolist()
