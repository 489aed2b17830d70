"""What a latency model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from profiler.ops import OpSpec

FloatArray = npt.NDArray[np.float64]


@runtime_checkable
class OpLatencyModel(Protocol):
    """Predicts single ops."""

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Latency of each op on its own in ms, shape ``(len(specs),)``; all positive.

        Free ops (``spec.is_free``) cost 0: a network has no node for them.

        Raises:
            MissingEntryError: an op this model cannot answer for.
        """


@runtime_checkable
class NetworkLatencyModel(Protocol):
    """Predicts whole networks."""

    def predict_ms(self, networks: Sequence[Sequence[OpSpec]]) -> FloatArray:
        """Latency of each network in ms, shape ``(len(networks),)``.

        Raises:
            MissingEntryError: a network holds an op this model cannot answer for.
        """


@runtime_checkable
class AdditiveLatencyModel(NetworkLatencyModel, Protocol):
    """A network model that is a constant plus a contribution of each op.

    ``predict_ms([network])[0] == constant_ms + contributions_ms(network).sum()``. Search prices
    whole batches of architectures by gathering contributions, so it asks for this kind of model.
    """

    @property
    def constant_ms(self) -> float:
        """What every network costs, whatever its ops."""

    def contributions_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """What each op adds to a network that holds it, in ms, shape ``(len(specs),)``.

        Raises:
            MissingEntryError: an op this model cannot answer for.
        """
