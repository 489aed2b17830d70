"""Latency of a whole space as one small matrix: pricing, and its expectation.

A network of a chain costs a constant plus a contribution of the candidate taken in each block, so
the expected latency of a distribution over networks is linear in its probabilities
(ProxylessNAS, Cai, Zhu, Han, ICLR 2019, equation 2)::

    E[LAT] = constant + sum over blocks b, sum over candidates j of p[b][j] * F[b][j]

where ``F[b][j]`` is what candidate ``j`` of block ``b`` adds, in ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from devices.errors import InputError
from latency_models.base import AdditiveLatencyModel
from search.architecture import Architecture
from search.budget_checks import check_budget, check_scale
from search.pricing import FloatArray, padded, sum_blocks
from search.spaces.base import ChainSpace, Choices

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LatencyMatrix:
    """What every candidate of a chain space adds to a network's latency.

    Attributes:
        space: the space that is priced.
        constant_ms: what every network of the space costs: the model's constant, stem and head.
        block_ms: contribution of candidate ``j`` of block ``b`` in ms, ``block_ms[b][j]``.

    Raises:
        InputError: not one finite number for each candidate.
    """

    space: ChainSpace
    constant_ms: float
    block_ms: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        widths = tuple(len(block) for block in self.block_ms)
        if widths != self.space.widths:
            raise InputError(
                f"latencies for blocks of {widths} candidates",
                f"{self.space.name} has {self.space.widths}",
            )
        numbers = [self.constant_ms, *(ms for block in self.block_ms for ms in block)]
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"latencies of {self.space.name} are not all finite")

    @classmethod
    def from_model(cls, space: ChainSpace, model: AdditiveLatencyModel) -> LatencyMatrix:
        """Ask a latency model, once, for every distinct op of the space.

        Raises:
            MissingEntryError: an op the model cannot answer for.
        """
        ops = space.all_ops()
        contributions_ms = model.contributions_ms(ops)
        priced = dict(zip(ops, (float(ms) for ms in contributions_ms), strict=True))
        # Free ops are not asked for: a network has no node for them.
        blocks = tuple(tuple(priced.get(op, 0.0) for op in block) for block in space.blocks)
        fixed_ms = math.fsum(priced.get(op, 0.0) for op in (*space.stem, *space.head))
        return cls(space, float(model.constant_ms) + fixed_ms, blocks)

    @cached_property
    def _padded_ms(self) -> FloatArray:
        return padded(self.block_ms)

    def price(self, architectures: Sequence[Architecture] | Choices) -> FloatArray:
        """Predicted latency of many architectures at once.

        The sum runs from the constant through the blocks in order, so that an architecture has
        the same price, to the last bit, whichever others are priced beside it.

        Args:
            architectures: of this space, or their choices as an array ``(n, blocks)``.

        Returns:
            Latency in ms, shape ``(n,)``.

        Raises:
            InputError: an architecture that is not of this space.
        """
        total_ms: FloatArray = sum_blocks(
            self.space, [self.constant_ms], [self._padded_ms], architectures
        )[0]
        return total_ms

    def tensor(
        self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Contributions in ms padded with 0, and a mask that is true where a candidate is.

        Returns:
            Two tensors of shape ``(blocks, max_candidates)``; the mask is boolean.
        """
        widths = torch.tensor(self.space.widths, device=device)
        columns = torch.arange(self._padded_ms.shape[1], device=device)
        values = torch.tensor(self._padded_ms, dtype=dtype, device=device)
        return values, columns < widths[:, None]

    @cached_property
    def _tensor(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.tensor()

    def expected_ms(self, probabilities: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
        """Expected latency of a network whose candidates are drawn independently, differentiable.

        ``constant + sum_b sum_j p[b][j] * F[b][j]``, so the gradient with respect to ``p[b][j]``
        is ``F[b][j]``.

        Args:
            probabilities: one tensor ``(candidates,)`` for each block, or one padded tensor
                ``(blocks, max_candidates)`` whose padding is ignored.

        Returns:
            A scalar in ms, of the probabilities' type and on their device.

        Raises:
            InputError: not one probability for each candidate.
        """
        values, mask = self._tensor
        if isinstance(probabilities, torch.Tensor):
            if probabilities.shape != values.shape:
                raise InputError(
                    f"probabilities of shape {tuple(probabilities.shape)}",
                    f"{self.space.name} wants {tuple(values.shape)}",
                )
            mask = mask.to(probabilities.device)
            used = torch.where(mask, probabilities, torch.zeros_like(probabilities))
            return self.constant_ms + (used * values.to(used)).sum()
        shapes = tuple(tuple(block.shape) for block in probabilities)
        if shapes != tuple((width,) for width in self.space.widths):
            raise InputError(
                f"probabilities of shapes {shapes}",
                f"{self.space.name} wants blocks of {self.space.widths} candidates",
            )
        flat = torch.cat(tuple(probabilities))
        return self.constant_ms + flat @ values[mask].to(flat)

    def _extreme(self, choices: Sequence[int]) -> tuple[Architecture, float]:
        architecture = self.space.architecture(choices)
        return architecture, float(self.price([architecture])[0])

    def fastest(self) -> tuple[Architecture, float]:
        """The architecture of lowest predicted latency, and that latency in ms."""
        return self._extreme([int(np.argmin(block)) for block in self.block_ms])

    def slowest(self) -> tuple[Architecture, float]:
        """The architecture of highest predicted latency, and that latency in ms."""
        return self._extreme([int(np.argmax(block)) for block in self.block_ms])

    def check_budget(self, budget_ms: float) -> float:
        """As :func:`search.budget_checks.check_budget`."""
        return check_budget(self, budget_ms)

    def check_scale(self, budget_ms: float) -> None:
        """As :func:`search.budget_checks.check_scale`."""
        check_scale(self, budget_ms)


@dataclass(frozen=True)
class Limit:
    """A latency that a network must not exceed on a device.

    Attributes:
        matrix: latencies of the space on that device.
        budget_ms: in ms.
    """

    matrix: LatencyMatrix
    budget_ms: float
