"""Small problems whose best network within a budget is known by listing them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from profiler.ops import OpSpec
from search.architecture import Architecture
from search.expected_latency import LatencyMatrix
from search.spaces.base import ChainSpace
from search.strategies.admissible import ChainAdmissible, ListAdmissible

SHAPE = (4, 8, 8)


def chain(blocks: int, candidates: int, skippable: bool = True) -> ChainSpace:
    """Equal blocks of so many candidates, and a skip where that is wanted."""

    def conv(kernel: int) -> OpSpec:
        return OpSpec.make("conv", SHAPE, out=4, kernel=kernel)

    skip = (OpSpec.make("identity", SHAPE),) if skippable else ()
    block = (*(conv(2 * j + 3) for j in range(candidates)), *skip)
    pool = OpSpec.make("global_avg_pool", SHAPE)
    head = (pool, OpSpec.make("linear", (4,), out=5))
    return ChainSpace("small", (conv(1),), (block,) * blocks, head)


def matrix_of(space: ChainSpace, seed: int = 0) -> LatencyMatrix:
    """Latencies as a model gives them: by op, and 0 for what a network has no node for."""
    generator = np.random.default_rng(seed)
    latency_ms = {op: generator.uniform(0.5, 2) for op in space.all_ops()}
    blocks = tuple(tuple(latency_ms.get(op, 0.0) for op in block) for block in space.blocks)
    return LatencyMatrix(space, 0.5, blocks)


@dataclass
class Additive:
    """What a network is worth: the sum of what its choices are; counts how often it is asked.

    Within a row of equal blocks only the number of skips and the order of the others matter, since
    the value is taken of the canonical architecture.
    """

    admissible: ChainAdmissible | ListAdmissible
    seed: int = 0

    def __post_init__(self) -> None:
        generator = np.random.default_rng([self.seed, 7])
        self.worth = [generator.uniform(0, 1, width) for width in self.admissible.widths]
        self.asked: list[Architecture] = []

    def value(self, architecture: Architecture) -> float:
        choices = self.admissible.canonical(architecture).choices
        return float(sum(worth[j] for worth, j in zip(self.worth, choices, strict=True)))

    def __call__(self, architecture: Architecture) -> float:
        self.asked.append(architecture)
        return self.value(architecture)


def chain_problem(
    blocks: int = 5, candidates: int = 3, share: float = 0.5, seed: int = 0
) -> ChainAdmissible:
    """The networks of a small space up to a share of the way from the fastest to the slowest."""
    matrix = matrix_of(chain(blocks, candidates), seed)
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    return ChainAdmissible(matrix, fastest_ms + share * (slowest_ms - fastest_ms))


def list_problem(share: float = 0.5, seed: int = 0) -> ListAdmissible:
    """A plain list: three choices at each of four positions, latencies of no structure."""
    architectures = list(chain(4, 3, skippable=False).enumerate())
    drawn = np.random.default_rng(seed).uniform(1, 2, len(architectures))
    latencies_ms = dict(zip(architectures, drawn.tolist(), strict=True))

    def neighbours_of(architecture: Architecture) -> list[Architecture]:
        choices = architecture.choices
        return [
            Architecture(architecture.space, (*choices[:i], j, *choices[i + 1 :]))
            for i in range(len(choices))
            for j in range(3)
            if j != choices[i]
        ]

    return ListAdmissible(latencies_ms, 1 + share, neighbours_of)


def listed(admissible: ChainAdmissible | ListAdmissible) -> list[Architecture]:
    """Every admissible network, by listing the space and asking each for its latency."""
    if isinstance(admissible, ListAdmissible):
        everything = list(admissible.latencies_ms)
    else:
        everything = list(admissible.matrix.space.enumerate())
    known = dict.fromkeys(map(admissible.canonical, everything))
    return [a for a in known if admissible.latency_ms(a) <= admissible.budget_ms]
