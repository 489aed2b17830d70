"""What a search space is, and the one most are: a chain of blocks with candidates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from devices.errors import InputError
from profiler.ops import OpSpec
from search.architecture import MAX_CANDIDATES, Architecture

if TYPE_CHECKING:
    from torch import nn

Choices = npt.NDArray[np.integer[Any]]
"""Networks of a chain as whole numbers, shape ``(n, blocks)``: which candidate each block takes."""


@runtime_checkable
class SearchSpace(Protocol):
    """A set of networks that can be sampled, listed, priced op by op, and built.

    Contract: values, never changed after construction; the same generator state gives the same
    sample; ``ops`` yields ops of the vocabulary, so that whatever the space can build, the
    profiler can measure.
    """

    @property
    def name(self) -> str:
        """Canonical string, parameters included: ``mobile?resolution=96``."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of the network's input."""

    @property
    def classes(self) -> int:
        """Number of outputs."""

    @property
    def size(self) -> int:
        """Number of architectures."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of choices at each position of an architecture."""

    def check(self, architecture: Architecture) -> Architecture:
        """Return the architecture, or raise :class:`InputError` where it is not of this space."""

    def sample(self, generator: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""

    def sample_spread(self, generator: np.random.Generator) -> Architecture:
        """A random architecture from all over the range of sizes, not only its middle."""

    def representative(self, architecture: Architecture) -> Architecture:
        """The one architecture, of all that make the same network, by which it is known."""

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once, in a fixed order."""

    def covering(self, seed: int = 0) -> Sequence[Architecture]:
        """A few architectures that together hold every op; for ops to be timed in them."""

    def mutate(self, architecture: Architecture, generator: np.random.Generator) -> Architecture:
        """The architecture with one random choice changed."""

    def ops(self, architecture: Architecture) -> tuple[OpSpec, ...]:
        """The ops of the architecture's network, in order of execution."""

    def all_ops(self) -> tuple[OpSpec, ...]:
        """Every distinct op of the space that a network has a node for, in a fixed order."""

    def build(self, architecture: Architecture) -> nn.Module:
        """The architecture's torch network, its weights drawn from torch's global generator."""


@dataclass(frozen=True)
class ChainSpace:
    """A fixed stem, then blocks with a choice of candidates each, then a fixed head.

    Attributes:
        name: canonical string, parameters included.
        stem: ops before the first block.
        blocks: the candidates of each block; all candidates of a block map the same input shape
            to the same output shape.
        head: ops after the last block; the last one's output is the classes.
    """

    name: str
    stem: tuple[OpSpec, ...]
    blocks: tuple[tuple[OpSpec, ...], ...]
    head: tuple[OpSpec, ...]

    def __post_init__(self) -> None:
        if not (self.stem and self.blocks and self.head):
            raise InputError(f"{self.name} lacks a stem, blocks or a head")
        for i, block in enumerate(self.blocks):
            if not 1 <= len(block) <= MAX_CANDIDATES:
                raise InputError(
                    f"block {i} of {self.name} has {len(block)} candidates",
                    f"must be 1 to {MAX_CANDIDATES}",
                )
            for attribute in ("input_shape", "output_shape"):
                shapes = {getattr(candidate, attribute) for candidate in block}
                if len(shapes) != 1:
                    raise InputError(
                        f"candidates of block {i} of {self.name} differ in {attribute}", str(shapes)
                    )
        chain = (*self.stem, *(block[0] for block in self.blocks), *self.head)
        for before, after in itertools.pairwise(chain):
            if before.output_shape != after.input_shape:
                raise InputError(f"in {self.name} {after.key} cannot follow {before.key}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of the network's input."""
        channels, height, width = self.stem[0].input_shape
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return self.head[-1].output_shape[0]

    @property
    def size(self) -> int:
        """Number of architectures."""
        return math.prod(len(block) for block in self.blocks)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of candidates of each block."""
        return tuple(len(block) for block in self.blocks)

    def architecture(self, choices: Sequence[int]) -> Architecture:
        """The architecture with these choices, checked."""
        return self.check(Architecture(self.name, tuple(int(choice) for choice in choices)))

    def check(self, architecture: Architecture) -> Architecture:
        """Return the architecture, or raise :class:`InputError` where it is not of this space."""
        if architecture.space != self.name:
            raise InputError(f"{architecture} is not of the space {self.name}")
        if len(architecture.choices) != len(self.blocks):
            raise InputError(
                f"{architecture} has {len(architecture.choices)} choices",
                f"{self.name} has {len(self.blocks)} blocks",
            )
        for i, (choice, width) in enumerate(zip(architecture.choices, self.widths, strict=True)):
            if choice >= width:
                raise InputError(
                    f"{architecture} takes candidate {choice} in block {i}",
                    f"that block has candidates 0 to {width - 1}",
                )
        return architecture

    def sample(self, generator: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return Architecture(self.name, tuple(int(generator.integers(n)) for n in self.widths))

    def sample_spread(self, generator: np.random.Generator) -> Architecture:
        """A random architecture from all over the range of sizes, not only its middle.

        Uniform samples of a deep space all cost about the same, as sums do. Here each sample first
        draws a leaning, from -4 to 4, and then takes candidate ``j`` of a block with probability
        proportional to ``exp(leaning * flops_j / max flops of the block)``: from networks of
        nearly the smallest candidates throughout to nearly the largest.
        """
        leaning = generator.uniform(-4, 4)
        choices = []
        for block in self.blocks:
            flops = np.array([float(candidate.flops) for candidate in block])
            weights = np.exp(leaning * flops / max(flops.max(), 1.0))
            choices.append(int(generator.choice(len(block), p=weights / weights.sum())))
        return Architecture(self.name, tuple(choices))

    @cached_property
    def _runs(self) -> tuple[tuple[int, int], ...]:
        """First block, and the one after the last, of equal blocks in a row that can be skipped."""
        runs, first = [], 0
        for i in range(1, len(self.blocks) + 1):
            if i == len(self.blocks) or self.blocks[i] != self.blocks[first]:
                if i - first > 1 and any(op.is_free for op in self.blocks[first]):
                    runs.append((first, i))
                first = i
        return tuple(runs)

    def representative(self, architecture: Architecture) -> Architecture:
        """The architecture of the same network that skips last among equal blocks in a row."""
        choices = list(self.check(architecture).choices)
        for first, end in self._runs:
            block = self.blocks[first]
            choices[first:end] = sorted(choices[first:end], key=lambda j: block[j].is_free)
        return Architecture(self.name, tuple(choices))

    def covering(self, seed: int = 0) -> list[Architecture]:
        """A few architectures that together hold every op; for ops to be timed in them.

        Each takes in every block a candidate that none before it holds, as far as there are any;
        the other blocks are filled by chance, every other one with nothing where it may be skipped.
        So the networks are of several depths, and no candidate comes twice in one where it can be
        helped.

        Args:
            seed: of what is left to chance.
        """
        generator = np.random.default_rng(seed)
        covered = {op.key for op in (*self.stem, *self.head)}
        wanted = {op.key for op in self.all_ops()}
        networks: list[Architecture] = []
        while not networks or not wanted <= covered:
            held: set[str] = set()
            choices = []
            for block in self.blocks:
                keys = [op.key for op in block]
                nodes = [i for i, op in enumerate(block) if not op.is_free]
                fresh = [i for i in nodes if keys[i] not in covered and keys[i] not in held]
                if not fresh:
                    other = [i for i in nodes if keys[i] not in held] or nodes
                    free = [i for i in range(len(block)) if i not in nodes]
                    fresh = free if free and (not nodes or generator.random() < 0.5) else other
                choices.append(fresh[int(generator.integers(len(fresh)))])
                held.add(keys[choices[-1]])
            covered |= held
            networks.append(self.architecture(choices))
        return networks

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once, in lexicographic order of the choices."""
        for choices in itertools.product(*(range(n) for n in self.widths)):
            yield Architecture(self.name, choices)

    def mutate(self, architecture: Architecture, generator: np.random.Generator) -> Architecture:
        """The architecture with one random choice changed, among the blocks that have one.

        Raises:
            InputError: a space of a single architecture.
        """
        choices = list(self.check(architecture).choices)
        open_blocks = [i for i, n in enumerate(self.widths) if n > 1]
        if not open_blocks:
            raise InputError(f"{self.name} has a single architecture: nothing to mutate")
        block = open_blocks[int(generator.integers(len(open_blocks)))]
        shift = 1 + int(generator.integers(self.widths[block] - 1))
        choices[block] = (choices[block] + shift) % self.widths[block]
        return Architecture(self.name, tuple(choices))

    def ops(self, architecture: Architecture) -> tuple[OpSpec, ...]:
        """The ops of the architecture's network, in order of execution, free ones included."""
        chosen = zip(self.blocks, self.check(architecture).choices, strict=True)
        return (*self.stem, *(block[choice] for block, choice in chosen), *self.head)

    def all_ops(self) -> tuple[OpSpec, ...]:
        """Every distinct op of the space that a network has a node for, in a fixed order."""
        ops = itertools.chain(self.stem, *self.blocks, self.head)
        return tuple(dict.fromkeys(op for op in ops if not op.is_free))

    def build(self, architecture: Architecture) -> nn.Sequential:
        """The architecture's torch network, its weights drawn from torch's global generator."""
        from profiler.builders.modules import build_chain

        return build_chain(self.ops(architecture))

    def encode(self, architectures: Sequence[Architecture]) -> npt.NDArray[np.int64]:
        """Choices of many architectures as one array, shape ``(architectures, blocks)``.

        Raises:
            InputError: an architecture that is not of this space.
        """
        rows = [self.check(architecture).choices for architecture in architectures]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.blocks))

    def decode(self, choices: Choices) -> list[Architecture]:
        """The architectures with these choices, an array ``(n, blocks)``.

        Raises:
            InputError: not whole numbers of that shape, or a choice that a block does not have.
        """
        self.check_choices(choices)
        return [Architecture(self.name, tuple(row)) for row in choices.tolist()]

    def sample_choices(self, count: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Choices of uniformly random architectures, shape ``(count, blocks)``, a byte each.

        Those of one block lie side by side, as pricing takes them.

        Args:
            count: how many.
            generator: the same state draws the same choices.

        Raises:
            InputError: a count below zero.
        """
        if count < 0:
            raise InputError(f"{count} architectures to draw", "must be 0 or more")
        choices = np.empty((len(self.blocks), count), np.uint8)
        for row, width in zip(choices, self.widths, strict=True):
            row[:] = generator.integers(width, size=count, dtype=np.uint8)
        return choices.T

    def check_choices(self, choices: Choices) -> Choices:
        """Return the choices, or raise :class:`InputError` where no network of this space has them.

        Args:
            choices: whole numbers of any size, shape ``(n, blocks)``; checked quickest where those
                of one block lie side by side.
        """
        self.check_choices_shape(choices)
        if not len(choices):
            return choices
        least, most = choices.min(axis=0).tolist(), choices.max(axis=0).tolist()
        for block, (low, high, width) in enumerate(zip(least, most, self.widths, strict=True)):
            if low < 0 or high >= width:
                raise InputError(
                    f"choice {low if low < 0 else high} in block {block}",
                    f"that block of {self.name} has candidates 0 to {width - 1}",
                )
        return choices

    def check_choices_shape(self, choices: Choices) -> Choices:
        """The same, but for the values of the choices."""
        blocks = len(self.blocks)
        if choices.ndim != 2 or choices.shape[1] != blocks or choices.dtype.kind not in "iu":
            raise InputError(
                f"choices of shape {choices.shape} and type {choices.dtype}",
                f"{self.name} wants whole numbers, shape (n, {blocks})",
            )
        return choices
