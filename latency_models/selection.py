"""Choosing the regressor of a kind of op by cross-validation, and scoring that choice.

What is chosen is what comes nearest on shapes that it has not seen: that is what it is for. The
score of the choice is nested: in each outer fold the choice is made anew without that fold.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import GroupKFold

from latency_models.base import FloatArray
from latency_models.estimator import LatencyRegressor
from latency_models.estimators import AdditiveRegressor, LogRegressor
from latency_models.features import monotone_directions, part_matrix, predictor_matrix
from profiler.ops import OpSpec

DEFAULT = "process"
"""What is taken where there is one shape only, and so nothing to choose by."""
SPLITS: Mapping[str, Callable[[OpSpec], Hashable]] = {
    "shapes": lambda spec: (spec.input_shape, spec.output_shape[0]),
    "channels": lambda spec: (spec.input_shape[0], spec.output_shape[0]),
    "resolutions": lambda spec: spec.input_shape[1:],
}
"""What ops that are held out together have in common."""
_OUTER_FOLDS = 5
_INNER_FOLDS = 3
_MOST_ROWS = 300
"""Ops that a choice is made on at the most: more of them make it slower and no better."""

Fold = tuple[list[int], list[int]]


def _linear(kind: str, seed: int) -> Any:
    return LogRegressor()


def _forest(kind: str, seed: int) -> Any:
    trees = RandomForestRegressor(
        100, min_samples_leaf=1, random_state=seed, monotonic_cst=list(monotone_directions(kind))
    )
    return LogRegressor(trees)


def _boosting(kind: str, seed: int) -> Any:
    trees = HistGradientBoostingRegressor(
        min_samples_leaf=3,
        max_iter=200,
        random_state=seed,
        monotonic_cst=list(monotone_directions(kind)),
    )
    return LogRegressor(trees)


def _process(kind: str, seed: int) -> Any:
    return LatencyRegressor(random_state=seed)


def _additive(kind: str, seed: int) -> Any:
    return AdditiveRegressor(part_matrix(kind, []).shape[1], random_state=seed)


CANDIDATES: Mapping[str, Callable[[str, int], Any]] = {
    "process": _process,
    "additive": _additive,
    "linear": _linear,
    "boosting": _boosting,
    "forest": _forest,
}
"""Name to what makes an unfitted regressor, given the kind of op and a seed."""


@dataclass(frozen=True)
class OpData:
    """Measured ops of one kind, as regressors see them.

    Attributes:
        kind: name of the kind.
        specs: the ops.
        predictors: of each, shape ``(n, predictors)``.
        parts: of each, shape ``(n, parts)``.
        latencies_ms: shape ``(n,)``.
    """

    kind: str
    specs: tuple[OpSpec, ...]
    predictors: FloatArray
    parts: FloatArray
    latencies_ms: FloatArray

    @classmethod
    def of(cls, kind: str, specs: Sequence[OpSpec], latencies_ms: FloatArray) -> OpData:
        """The features of some ops of a kind."""
        predictors, parts = predictor_matrix(kind, specs), part_matrix(kind, specs)
        return cls(kind, tuple(specs), predictors, parts, latencies_ms)

    def take(self, rows: Sequence[int]) -> OpData:
        """Some of the ops."""
        index = list(rows)
        return OpData(
            self.kind,
            tuple(self.specs[i] for i in index),
            self.predictors[index],
            self.parts[index],
            self.latencies_ms[index],
        )

    def __len__(self) -> int:
        return len(self.specs)

    def fit(self, name: str, seed: int) -> Any:
        """The regressor of a name, fitted to these."""
        estimator = CANDIDATES[name](self.kind, seed)
        return estimator.fit(inputs(estimator, self.predictors, self.parts), self.latencies_ms)

    def predict_ms(self, estimator: Any) -> FloatArray:
        """Latency of each by a fitted regressor, in ms."""
        predicted: FloatArray = estimator.predict(inputs(estimator, self.predictors, self.parts))
        return predicted


def inputs(estimator: Any, predictors: FloatArray, parts: FloatArray) -> FloatArray:
    """What a regressor is given: only an additive one wants the parts, after the predictors."""
    wants_parts = isinstance(estimator, AdditiveRegressor)
    return np.hstack([predictors, parts]) if wants_parts else predictors


def choose(data: OpData, seed: int) -> str:
    """Name of the regressor that comes nearest on shapes held out, by mean absolute log error.

    Args:
        data: measured ops; at most some hundred of them are drawn to choose by.
        seed: of the draw and of the regressors.
    """
    if len(data) > _MOST_ROWS:
        drawn = np.random.default_rng(seed).choice(len(data), _MOST_ROWS, replace=False)
        data = data.take(sorted(drawn.tolist()))
    found = list(folds(data.specs, "shapes", _INNER_FOLDS))
    if not found:
        return DEFAULT
    errors = {
        name: np.concatenate([_errors(data, fold, name, seed) for fold in found])
        for name in CANDIDATES
    }
    return min(errors, key=lambda name: float(np.abs(errors[name]).mean()))


def _errors(data: OpData, fold: Fold, name: str, seed: int) -> FloatArray:
    """Logarithms of measured over predicted, of what a fold holds out."""
    train, test = data.take(fold[0]), data.take(fold[1])
    errors: FloatArray = np.log(test.latencies_ms / test.predict_ms(train.fit(name, seed)))
    return errors


def folds(specs: Sequence[OpSpec], split: str, most: int = _OUTER_FOLDS) -> Iterator[Fold]:
    """Rows to fit to and rows to predict; none where all ops are of one group.

    Args:
        specs: the ops.
        split: one of :data:`SPLITS`: what stays together.
        most: folds at the most; as many as there are groups where those are fewer.
    """
    keys = [SPLITS[split](spec) for spec in specs]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    if len(number) < 2:
        return
    groups = [number[key] for key in keys]
    splitter = GroupKFold(n_splits=min(most, len(number)))
    for train, test in splitter.split(groups, groups=groups):
        yield train.tolist(), test.tolist()
