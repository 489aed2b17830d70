"""Latencies of many networks at once: for each block one gather, over networks that fit a cache.

Networks are given by their choices, an array ``(n, blocks)`` of whole numbers as
:meth:`~search.spaces.base.ChainSpace.encode` and ``sample_choices`` make it; a byte a choice is the
quickest. A network's figures are sums over its blocks, so no network is built and no op looked up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency_models.network import SumModel
from search.architecture import Architecture
from search.spaces.base import ChainSpace, Choices

FloatArray = npt.NDArray[np.float64]

_ROWS = 8_192
"""Networks that are summed at a time: their choices and sums stay in a core's cache."""


def padded(blocks: Sequence[Sequence[float]]) -> FloatArray:
    """Figures of the candidates of each block, ``(blocks, max_candidates)``, 0 where there is none.

    Args:
        blocks: the figure of each candidate, block by block.
    """
    rows = np.zeros((len(blocks), max(map(len, blocks), default=0)))
    for row, block in zip(rows, blocks, strict=True):
        row[: len(block)] = block
    return rows


def sum_blocks(
    space: ChainSpace,
    start: Sequence[float],
    tables: Sequence[FloatArray],
    architectures: Sequence[Architecture] | Choices,
) -> FloatArray:
    """Sum the figures of the candidates that each network takes.

    The sum runs from the start through the blocks in order, so that a network has the same sum, to
    the last bit, whichever others are beside it.

    Args:
        space: the networks' space.
        start: what every network has, a number for each table.
        tables: figures of the candidates, shape ``(blocks, max_candidates)`` each.
        architectures: of the space, or their choices as an array ``(n, blocks)``.

    Returns:
        Sums, shape ``(tables, n)``.

    Raises:
        InputError: an architecture that is not of the space.
    """
    if isinstance(architectures, np.ndarray):
        choices = space.check_choices_shape(architectures)
    else:
        choices = space.encode(architectures)
    sums = np.empty((len(tables), len(choices)))
    index, taken = np.empty(_ROWS, np.intp), np.empty(_ROWS)
    for first in range(0, len(choices), _ROWS):
        part = sums[:, first : first + _ROWS]
        part[:] = np.reshape(start, (-1, 1))
        columns = np.ascontiguousarray(choices[first : first + _ROWS].T)
        space.check_choices(columns.T)
        candidate, figures = index[: part.shape[1]], taken[: part.shape[1]]
        for block, column in enumerate(columns):
            candidate[:] = column
            for total, table in zip(part, tables, strict=True):
                # Of choices that were checked, clipping changes none: it only saves take a copy.
                table[block].take(candidate, out=figures, mode="clip")
                total += figures
    return sums


@dataclass(frozen=True)
class ChainLatency:
    """A model of whole networks, asked for those of one space by their choices.

    It says what the model says of the networks' ops, also where the model is not additive: then of
    each network three sums are taken, the parts of :mod:`latency_models.calibration`.

    Attributes:
        space: the networks' space.
        model: what is asked.
        start: what every network has of each part: stem and head, and the constant of an additive
            model.
        tables: what each candidate adds to each part, shape ``(blocks, max_candidates)`` each.
    """

    space: ChainSpace
    model: SumModel
    start: tuple[float, ...]
    tables: tuple[FloatArray, ...]

    @classmethod
    def from_model(cls, space: ChainSpace, model: SumModel) -> ChainLatency:
        """Ask a model, once, for every distinct op of the space.

        Raises:
            MissingEntryError: an op the model cannot answer for.
        """
        ops = space.all_ops()
        if model.calibration.is_additive:
            parts = model.contributions_ms(ops)[:, None]
            constants = [model.constant_ms]
        else:
            parts = model.calibration.parts_of(ops, model.op_model.predict_ms(ops))
            constants = [0.0] * parts.shape[1]
        start, tables = [], []
        for constant, column in zip(constants, parts.T.tolist(), strict=True):
            # Free ops are not asked for: a network has no node for them.
            of = dict(zip(ops, column, strict=True))
            fixed = math.fsum(of.get(op, 0.0) for op in (*space.stem, *space.head))
            start.append(constant + fixed)
            tables.append(padded([[of.get(op, 0.0) for op in block] for block in space.blocks]))
        return cls(space, model, tuple(start), tuple(tables))

    def predict_ms(self, architectures: Sequence[Architecture] | Choices) -> FloatArray:
        """Predicted latency of many networks at once.

        Args:
            architectures: of the space, or their choices as an array ``(n, blocks)``.

        Returns:
            Latency in ms, shape ``(n,)``.

        Raises:
            InputError: an architecture that is not of the space.
            UntrustworthyError: a network that the model has no latency above 0 for.
        """
        sums = sum_blocks(self.space, self.start, self.tables, architectures)
        if self.model.calibration.is_additive:
            latencies_ms: FloatArray = sums[0]
        else:
            latencies_ms = self.model.calibration.predict_ms(sums.T)
        if self.model.is_calibrated and latencies_ms.size and latencies_ms.min() <= 0:
            # The model says itself what is wrong.
            least = architectures[int(latencies_ms.argmin())]
            if not isinstance(least, Architecture):
                least = self.space.architecture(least)
            self.model.predict_ms([self.space.ops(least)])
        return latencies_ms
