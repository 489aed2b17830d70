"""Where a regressor may be asked: the range of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latency_models.features import kind_features
from profiler.ops import OpSpec

REACH = 2.0
"""How far past the smallest and the largest measured value a size may lie, as a factor."""


@dataclass(frozen=True)
class Domain:
    """The measured values of the features of one kind.

    Attributes:
        kind: name of the kind.
        values: feature name to the values seen: every distinct one of a level, smallest and
            largest of a size.
    """

    kind: str
    values: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, kind: str, specs: Sequence[OpSpec]) -> Domain:
        """The domain that measured ops span.

        Args:
            kind: the kind all of the ops have.
            specs: at least one op.
        """
        values: dict[str, tuple[float, ...]] = {}
        for feature in kind_features(kind):
            seen = sorted({feature.value(spec) for spec in specs})
            if feature.is_level:
                values[feature.name] = tuple(seen)
            elif feature.is_predictor and not feature.is_tile:
                values[feature.name] = (seen[0], seen[-1])
        return cls(kind, values)

    def is_outside(self, spec: OpSpec) -> bool:
        """Whether a size of an op lies outside of the measured range, so that it is extrapolated.

        Ask only where there is no :meth:`objection`.
        """
        for feature in kind_features(self.kind):
            seen = self.values.get(feature.name)
            if seen is None or feature.is_level:
                continue
            if not seen[0] <= feature.value(spec) <= seen[-1]:
                return True
        return False

    def objection(self, spec: OpSpec) -> str:
        """Why an op cannot be predicted from what was measured; empty where it can.

        A level (kernel, stride, activation) must have been measured itself. A size may lie up to
        :data:`REACH` times outside of the measured range; where it never varied, it may not differ.
        """
        for feature in kind_features(self.kind):
            if feature.name not in self.values:
                continue
            value, seen = feature.value(spec), self.values[feature.name]
            if feature.is_level:
                if value not in seen:
                    known = ", ".join(f"{one:g}" for one in seen)
                    return f"{feature.name} {value:g} was never measured, only {known}"
                continue
            low, high = seen[0], seen[-1]
            reach = 1.0 if low == high else REACH
            if not low / reach <= value <= high * reach:
                span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                return f"{feature.name} {value:g} is too far from what was measured, {span}"
        return ""
