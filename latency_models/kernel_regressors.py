"""From measured kernels to kernels of the same groups that were not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from latency_models.base import FloatArray
from latency_models.estimator import LatencyRegressor
from latency_models.kernel_features import group_of, kernel_features, kernel_matrix
from profiler.kernels import KernelSpec

MIN_KERNELS = 6
"""Fewest measured kernels of a group that its regressor is fitted on."""
REACH = 2.0
"""How far past the smallest and the largest measured value a size may lie, as a factor."""
_HYPER_ROWS = 150


@dataclass(frozen=True)
class GroupRegressor:
    """The regressor of one group of kernels, and where it may be asked.

    Attributes:
        estimator: fitted on the features of the group.
        values: of each feature, what was measured: every value of a level, the smallest and the
            largest of a size.
    """

    estimator: LatencyRegressor
    values: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(
        cls, specs: Sequence[KernelSpec], latencies_ms: FloatArray, seed: int
    ) -> GroupRegressor:
        """Fit to measured kernels of one group.

        Args:
            specs: at least one.
            latencies_ms: what they take, shape ``(len(specs),)``.
            seed: of everything drawn at random.
        """
        matrix = kernel_matrix(specs)
        estimator = LatencyRegressor(max_hyper_rows=_HYPER_ROWS, random_state=seed)
        estimator.fit(matrix, latencies_ms)
        columns = zip(kernel_features(specs[0]), matrix.T, strict=True)
        return cls(estimator, {each.name: tuple(np.unique(column)) for each, column in columns})

    def objection(self, spec: KernelSpec) -> str:
        """Why a kernel of the group cannot be predicted from what was measured; empty if it can."""
        for feature in kernel_features(spec):
            value, seen = feature.value(spec), self.values[feature.name]
            low, high = seen[0], seen[-1]
            if feature.is_level:
                if value not in seen:
                    known = ", ".join(f"{one:g}" for one in seen)
                    return f"{feature.name} {value:g} was never measured, only {known}"
            elif not low / REACH <= value <= high * REACH:
                span = f"{low:g} to {high:g}"
                return f"{feature.name} {value:g} is too far from what was measured, {span}"
        return ""


@dataclass
class KernelRegressors:
    """One regressor a group, fitted when a kernel of the group is first asked for.

    Attributes:
        kernels_ms: measured kernels, and what they take in ms.
        seed: of everything drawn at random.
    """

    kernels_ms: Mapping[KernelSpec, float]
    seed: int = 0
    _groups: dict[str, list[KernelSpec]] = field(default_factory=dict, repr=False)
    _fitted: dict[str, GroupRegressor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for spec in self.kernels_ms:
            self._groups.setdefault(group_of(spec), []).append(spec)

    def objection(self, spec: KernelSpec) -> str:
        """Why a kernel cannot be predicted; empty where it can."""
        group = group_of(spec)
        count = len(self._groups.get(group, ()))
        if count < MIN_KERNELS:
            return f"{count} kernels like it were measured, a regressor needs {MIN_KERNELS}"
        return self._regressor(group).objection(spec)

    def predict_ms(self, specs: Sequence[KernelSpec]) -> FloatArray:
        """Latency of each kernel in ms, shape ``(len(specs),)``; ask for objections first."""
        latencies = np.zeros(len(specs))
        rows: dict[str, list[int]] = {}
        for i, spec in enumerate(specs):
            rows.setdefault(group_of(spec), []).append(i)
        for group, chosen in rows.items():
            matrix = kernel_matrix([specs[i] for i in chosen])
            latencies[chosen] = self._regressor(group).estimator.predict(matrix)
        return latencies

    def _regressor(self, group: str) -> GroupRegressor:
        if group not in self._fitted:
            specs = self._groups[group]
            latencies = np.array([self.kernels_ms[spec] for spec in specs])
            self._fitted[group] = GroupRegressor.fit(specs, latencies, self.seed)
        return self._fitted[group]
