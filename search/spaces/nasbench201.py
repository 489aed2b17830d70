"""NAS-Bench-201: cells of six edges with five operations each, 15,625 networks, all trained.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search", ICLR 2020. A cell has four nodes. Node 0 is its input; each later node is the sum of what
the edges from all nodes before it give; node 3 is its output. A network is a 3x3 convolution, three
stages of cells with a residual block of stride 2 between them, batch norm, ReLU, pooling and a
linear layer.

The modules are those of the vocabulary, so their batch norm has an epsilon of 1e-3 where the
benchmark has 1e-5; shapes and parameters are the benchmark's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from devices.errors import InputError
from profiler.ops import OpSpec
from profiler.ops.nasbench201 import OPS
from search.architecture import Architecture
from search.spaces.cell_forms import EDGES, NODES, live_edges, representatives

if TYPE_CHECKING:
    from torch import nn

SIZE: int = len(OPS) ** len(EDGES)
_NONE, _SKIP, _CONV_1, _CONV_3, _POOL = range(len(OPS))
_SIZES = np.array([0, 0, 1 / 9, 1, 0])
_STAGES = 3
_LEAST = {"channels": 1, "cells": 1, "classes": 1, "resolution": 4}
_MOST = 4096


@dataclass(frozen=True)
class NasBench201:
    """The space; by default with the networks that the benchmark trained on CIFAR-10.

    Attributes:
        channels: of the first stage; each later one has twice as many.
        cells: in each stage.
        classes: outputs of the network.
        resolution: height and width of the images in pixels, a multiple of 4.
    """

    channels: int = 16
    cells: int = 5
    classes: int = 10
    resolution: int = 32

    def __post_init__(self) -> None:
        for field, least in _LEAST.items():
            value = getattr(self, field)
            if not isinstance(value, int) or not least <= value <= _MOST:
                raise InputError(
                    f"nasbench201?{field}={value}", f"must be a whole number, {least} to {_MOST}"
                )
        if self.resolution % 4:
            raise InputError(
                f"nasbench201?resolution={self.resolution}",
                "two stages halve it",
                f"resolution={self.resolution // 4 * 4}",
            )

    @property
    def name(self) -> str:
        """Canonical string, parameters included: ``nasbench201?channels=8&cells=1``."""
        said = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return "nasbench201" + ("?" + "&".join(said) if said else "")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of the network's input."""
        return (3, self.resolution, self.resolution)

    @property
    def size(self) -> int:
        """Number of architectures: 15,625."""
        return SIZE

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of operations of each edge: six times five."""
        return (len(OPS),) * len(EDGES)

    def architecture(self, choices: Sequence[int]) -> Architecture:
        """The architecture with these operations.

        Args:
            choices: index of the operation of each edge among ``none``, ``skip_connect``,
                ``nor_conv_1x1``, ``nor_conv_3x3`` and ``avg_pool_3x3``, edges in the order of the
                architecture string.

        Raises:
            InputError: not six of them, or an operation beyond the five.
        """
        return self.check(Architecture(self.name, tuple(int(choice) for choice in choices)))

    def parse(self, text: str) -> Architecture:
        """The architecture of a string like ``|none~0|+|none~0|none~1|+|none~0|none~1|none~2|``.

        Raises:
            InputError: the text is not the string of one.
        """
        return self.architecture(parse_string(text))

    def check(self, architecture: Architecture) -> Architecture:
        """Return the architecture, or raise :class:`InputError` where it is not of this space."""
        if architecture.space != self.name:
            raise InputError(f"{architecture} is not of the space {self.name}")
        choices = architecture.choices
        if len(choices) != len(EDGES) or max(choices) >= len(OPS):
            raise InputError(
                f"{architecture} is not of {self.name}", "a cell is six digits from 0 to 4"
            )
        return architecture

    def sample(self, generator: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return self.architecture(generator.integers(len(OPS), size=len(EDGES)).tolist())

    def sample_spread(self, generator: np.random.Generator) -> Architecture:
        """A random architecture from all over the range of sizes, not only its middle.

        Each first draws a leaning, from -4 to 4, and then takes an operation with probability
        proportional to ``exp(leaning * c)``: ``c`` is 1 for the 3x3 convolution, a ninth for the
        1x1, and 0 for the others, as their FLOPs are.
        """
        weights = np.exp(generator.uniform(-4, 4) * _SIZES)
        choices = generator.choice(len(OPS), size=len(EDGES), p=weights / weights.sum())
        return self.architecture(choices.tolist())

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once, in lexicographic order of the choices."""
        for choices in itertools.product(range(len(OPS)), repeat=len(EDGES)):
            yield Architecture(self.name, choices)

    def representative(self, architecture: Architecture) -> Architecture:
        """The first architecture, in lexicographic order, whose network computes the same function.

        What it computes is that of any weights; see :mod:`search.spaces.cell_forms` for what counts
        as the same. It has no operation that its output does not depend on.
        """
        return Architecture(self.name, representatives()[self.check(architecture).choices])

    def distinct(self) -> tuple[Architecture, ...]:
        """The representatives of all architectures, in lexicographic order of the choices."""
        return tuple(Architecture(self.name, c) for c in sorted(set(representatives().values())))

    def covering(self, seed: int = 0) -> list[Architecture]:
        """Four architectures that together hold every op; ``seed`` changes nothing."""
        return [
            self.architecture((choice,) * len(EDGES)) for choice in (_CONV_3, _CONV_1, _POOL, _NONE)
        ]

    def mutate(self, architecture: Architecture, generator: np.random.Generator) -> Architecture:
        """The architecture with the operation of one random edge changed."""
        choices = list(self.check(architecture).choices)
        edge = int(generator.integers(len(EDGES)))
        choices[edge] = (choices[edge] + 1 + int(generator.integers(len(OPS) - 1))) % len(OPS)
        return self.architecture(choices)

    def ops(self, architecture: Architecture) -> tuple[OpSpec, ...]:
        """The ops of the architecture's network, in order of execution, free ones included.

        They are those of the network that is shipped: edges that give nothing to the output are not
        among them. A cell whose output depends on nothing is one ``zero``.
        """
        choices = self.check(architecture).choices
        ops = [self.stem]
        for stage, shape in enumerate(self.shapes):
            if stage:
                ops.append(self._reduction(stage))
            ops += _cell_ops(choices, shape) * self.cells
        return (*ops, *self.head)

    def all_ops(self) -> tuple[OpSpec, ...]:
        """Every distinct op of the space that a network has a node for, in a fixed order."""
        every = itertools.chain.from_iterable(self.ops(a) for a in self.covering())
        return tuple(dict.fromkeys(op for op in every if not op.is_free))

    def build(self, architecture: Architecture) -> nn.Sequential:
        """The torch network as the benchmark trains it, edges that give nothing included.

        Its parts are stem, cells and residual blocks, then batch norm, pooling and the linear
        layer. Weights are drawn from torch's global generator.
        """
        from torch import nn

        from profiler.builders.modules import build_op
        from search.spaces.cell import Cell

        choices = self.check(architecture).choices
        parts: list[nn.Module] = [build_op(self.stem)]
        for stage, shape in enumerate(self.shapes):
            if stage:
                parts.append(build_op(self._reduction(stage)))
            edges = [_edge_op(choice, shape) for choice in choices]
            parts += [Cell(edges) for _ in range(self.cells)]
        return nn.Sequential(*parts, *map(build_op, self.head))

    @cached_property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """``(channels, height, width)`` of the cells of each stage."""
        return tuple(
            (self.channels << stage, self.resolution >> stage, self.resolution >> stage)
            for stage in range(_STAGES)
        )

    @property
    def stem(self) -> OpSpec:
        """The op before the first cell."""
        return OpSpec.make("conv", self.input_shape, out=self.channels, kernel=3, activation="none")

    @property
    def head(self) -> tuple[OpSpec, ...]:
        """The ops after the last cell."""
        last = self.shapes[-1]
        return (
            OpSpec.make("batch_norm", last, activation="relu"),
            OpSpec.make("global_avg_pool", last),
            OpSpec.make("linear", last[:1], out=self.classes),
        )

    def _reduction(self, stage: int) -> OpSpec:
        """The residual block before the stage of that index."""
        return OpSpec.make(
            "residual_block", self.shapes[stage - 1], out=self.shapes[stage][0], stride=2
        )


def nasbench201(
    channels: int = 16, cells: int = 5, classes: int = 10, resolution: int = 32
) -> NasBench201:
    """Cells of six edges with five operations each, as in the benchmark NAS-Bench-201.

    With ``channels=8, cells=1`` networks are of a common size for scoring.

    Raises:
        InputError: a parameter out of its range.
    """
    return NasBench201(channels, cells, classes, resolution)


def string_of(choices: Sequence[int]) -> str:
    """The architecture string of six operations: ``|nor_conv_3x3~0|+|none~0|none~1|+|...``."""
    named = iter(choices)
    nodes = [
        "".join(f"|{OPS[next(named)]}~{before}" for before in range(node)) + "|"
        for node in range(1, NODES)
    ]
    return "+".join(nodes)


def parse_string(text: str) -> tuple[int, ...]:
    """The six operations of an architecture string.

    Raises:
        InputError: the text is not the string of one.
    """
    words = [word for node in text.split("+") for word in node.strip("|").split("|")]
    names = [word.partition("~")[0] for word in words]
    if len(names) == len(EDGES) and all(name in OPS for name in names):
        choices = tuple(OPS.index(name) for name in names)
        if string_of(choices) == text:
            return choices
    raise InputError(
        f"{text[:120]!r} is not a NAS-Bench-201 architecture",
        "",
        string_of((_CONV_3, _SKIP, _NONE, _POOL, _CONV_1, _NONE)),
    )


@cache
def _edge_op(choice: int, shape: tuple[int, int, int]) -> OpSpec | None:
    """The op of an edge; nothing where it gives nothing."""
    if choice == _NONE:
        return None
    if choice == _SKIP:
        return OpSpec.make("identity", shape)
    if choice == _POOL:
        return OpSpec.make("avg_pool", shape, kernel=3)
    return OpSpec.make("relu_conv", shape, out=shape[0], kernel=1 if choice == _CONV_1 else 3)


@cache
def _add(inputs: int, shape: tuple[int, int, int]) -> OpSpec:
    return OpSpec.make("add", shape, inputs=inputs)


def _cell_ops(choices: tuple[int, ...], shape: tuple[int, int, int]) -> list[OpSpec]:
    live = live_edges(choices)
    if not live:
        return [OpSpec.make("zero", shape)]
    ops: list[OpSpec] = []
    for node in range(1, NODES):
        incoming = [_edge_op(choices[i], shape) for i in live if EDGES[i][1] == node]
        ops += [op for op in incoming if op is not None]
        if len(incoming) > 1:
            ops.append(_add(len(incoming), shape))
    return ops
