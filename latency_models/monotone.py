"""What physics says of an op that was not measured: more of everything is not faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from latency_models.base import FloatArray
from latency_models.features import TILE_WIDTHS, feature_matrix, kind_features
from profiler.ops import OpSpec


@dataclass(frozen=True)
class MonotoneBounds:
    """Measured ops of one kind, as bounds on what others take.

    An op that is as large as a measured one in every size, and otherwise like it, is not faster;
    one that is as small is not slower. Otherwise alike means the same kernel, stride and so on,
    and channels that fill the last vector register alike: between 20 channels and 24 there may be
    a cliff, and it stays.

    Attributes:
        sizes: of the measured ops, shape ``(n, sizes)``.
        likeness: what has to be equal, shape ``(n, likenesses)``.
        latencies_ms: shape ``(n,)``.
    """

    sizes: FloatArray
    likeness: FloatArray
    latencies_ms: FloatArray

    @classmethod
    def of(cls, kind: str, specs: Sequence[OpSpec], latencies_ms: FloatArray) -> Self:
        """The bounds that measured ops of a kind set."""
        return cls(_sizes(kind, specs), _likeness(kind, specs), latencies_ms)

    def clip(self, kind: str, specs: Sequence[OpSpec], predicted_ms: FloatArray) -> FloatArray:
        """Predictions within the bounds, in ms, shape ``(len(specs),)``.

        Where the measured ops contradict each other, because of noise, a prediction stays.
        """
        clipped = predicted_ms.copy()
        rows = zip(_sizes(kind, specs), _likeness(kind, specs), strict=True)
        for i, (sizes, likeness) in enumerate(rows):
            alike = (self.likeness == likeness).all(axis=1)
            smaller = alike & (self.sizes <= sizes).all(axis=1)
            larger = alike & (self.sizes >= sizes).all(axis=1)
            low = self.latencies_ms[smaller].max(initial=0.0)
            high = self.latencies_ms[larger].min(initial=np.inf)
            if low <= high:
                clipped[i] = min(max(predicted_ms[i], low), high)
        return clipped


def _sizes(kind: str, specs: Sequence[OpSpec]) -> FloatArray:
    return feature_matrix([each for each in kind_features(kind) if each.is_size], specs)


def _likeness(kind: str, specs: Sequence[OpSpec]) -> FloatArray:
    """Levels and other attributes, and what is left of channels by the widest register."""
    features = kind_features(kind)
    others = [each for each in features if each.is_level]
    others += [
        each for each in features if each.is_predictor and not (each.is_size or each.is_tile)
    ]
    channels = [(spec.input_shape[0], spec.output_shape[0]) for spec in specs]
    left = np.array(channels, dtype=np.float64).reshape(len(specs), 2) % max(TILE_WIDTHS)
    return np.hstack([feature_matrix(others, specs), left])
