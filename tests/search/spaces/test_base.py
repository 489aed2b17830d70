from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.spaces.base import ChainSpace, SearchSpace
from search.spaces.mobile import mobile

SHAPE = (4, 8, 8)
SKIP = OpSpec.make("identity", SHAPE)


def conv(kernel: int) -> OpSpec:
    return OpSpec.make("conv", SHAPE, out=4, kernel=kernel)


def chain(*blocks: tuple[OpSpec, ...]) -> ChainSpace:
    stem = OpSpec.make("conv", (3, 16, 16), out=4, kernel=3, stride=2)
    pool = OpSpec.make("global_avg_pool", SHAPE)
    return ChainSpace("small", (stem,), blocks, (pool, OpSpec.make("linear", (4,), out=5)))


SMALL = chain((conv(1), conv(3), SKIP), (conv(1),), (conv(3), SKIP))


def test_a_chain_is_a_search_space() -> None:
    assert isinstance(SMALL, SearchSpace)
    assert SMALL.input_shape == (3, 16, 16)
    assert SMALL.classes == 5
    assert SMALL.widths == (3, 1, 2)


def test_enumeration_lists_every_architecture_once_in_order() -> None:
    listed = list(SMALL.enumerate())
    assert len(set(listed)) == len(listed) == SMALL.size == 6
    assert listed == sorted(listed)
    assert all(SMALL.check(architecture) is architecture for architecture in listed)


def test_sampling_is_uniform() -> None:
    generator = np.random.default_rng(0)
    seen = Counter(SMALL.sample(generator) for _ in range(6_000))
    # The 99.99 % quantile of chi-square with 5 degrees of freedom is 25.7.
    assert len(seen) == 6
    assert sum((n - 1_000) ** 2 / 1_000 for n in seen.values()) < 25.7


@given(st.integers(0, 2**32 - 1))
def test_the_same_generator_state_gives_the_same_sample(seed: int) -> None:
    first, again = (np.random.default_rng(seed) for _ in range(2))
    assert SMALL.sample(first) == SMALL.sample(again)


@given(st.integers(0, 2**32 - 1))
def test_a_mutation_changes_one_choice(seed: int) -> None:
    generator = np.random.default_rng(seed)
    before = SMALL.sample(generator)
    after = SMALL.check(SMALL.mutate(before, generator))
    pairs = zip(before.choices, after.choices, strict=True)
    assert sum(old != new for old, new in pairs) == 1


def test_every_neighbour_is_reached_by_mutation() -> None:
    generator = np.random.default_rng(0)
    start = SMALL.architecture((0, 0, 0))
    reached = {SMALL.mutate(start, generator).choices for _ in range(200)}
    assert reached == {(1, 0, 0), (2, 0, 0), (0, 0, 1)}


def test_a_space_of_one_architecture_cannot_mutate() -> None:
    space = chain((conv(1),))
    with pytest.raises(InputError, match="single architecture"):
        space.mutate(space.architecture((0,)), np.random.default_rng(0))


def test_ops_run_from_stem_to_head() -> None:
    ops = SMALL.ops(SMALL.architecture((1, 0, 1)))
    assert ops == (*SMALL.stem, conv(3), conv(1), SKIP, *SMALL.head)
    assert all(a.output_shape == b.input_shape for a, b in itertools.pairwise(ops))


def test_all_ops_are_the_distinct_ones_that_cost_something() -> None:
    assert SMALL.all_ops() == (*SMALL.stem, conv(1), conv(3), *SMALL.head)


def test_encoding_is_one_row_an_architecture() -> None:
    rows = SMALL.encode([SMALL.architecture((2, 0, 1)), SMALL.architecture((0, 0, 0))])
    assert rows.tolist() == [[2, 0, 1], [0, 0, 0]]
    assert SMALL.encode([]).shape == (0, 3)


def test_decoding_undoes_encoding() -> None:
    every = list(SMALL.enumerate())
    assert SMALL.decode(SMALL.encode(every)) == every
    assert SMALL.decode(SMALL.encode(every).astype(np.uint8)) == every
    assert SMALL.decode(SMALL.encode([])) == []


def test_sampled_choices_are_uniform_and_a_byte_each() -> None:
    space = mobile()
    choices = space.sample_choices(20_000, np.random.default_rng(0))
    assert choices.shape == (20_000, len(space.blocks))
    assert choices.dtype == np.uint8
    for column, width in zip(choices.T, space.widths, strict=True):
        shares = np.bincount(column) / len(column)
        assert len(shares) == width
        assert shares == pytest.approx(np.full(width, 1 / width), abs=0.015)


@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_samples_the_same_choices(seed: int) -> None:
    first, again = (SMALL.sample_choices(5, np.random.default_rng(seed)) for _ in range(2))
    assert (first == again).all()
    assert all(map(SMALL.check, SMALL.decode(first)))


def test_fewer_than_no_choices_cannot_be_sampled() -> None:
    assert SMALL.sample_choices(0, np.random.default_rng(0)).shape == (0, 3)
    with pytest.raises(InputError, match="0 or more"):
        SMALL.sample_choices(-1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        (np.array([[0, 0, 0], [0, 1, 0]]), "choice 1 in block 1: that block .* 0 to 0"),
        (np.array([[0, 0, 0], [-1, 0, 0]]), "choice -1 in block 0"),
        (np.array([0, 0, 0]), "shape"),
        (np.array([[0.0, 0.0, 0.0]]), "whole numbers"),
    ],
)
def test_choices_that_no_network_has_are_refused(choices: np.ndarray, why: str) -> None:
    for use in (SMALL.check_choices, SMALL.decode):
        with pytest.raises(InputError, match=why):
            use(choices)


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        (Architecture("other", (0, 0, 0)), "not of the space"),
        (Architecture("small", (0, 0)), "3 blocks"),
        (Architecture("small", (0, 1, 0)), "candidates 0 to 0"),
    ],
)
def test_a_foreign_architecture_is_refused(architecture: Architecture, why: str) -> None:
    for use in (SMALL.check, SMALL.ops, lambda a: SMALL.encode([a])):
        with pytest.raises(InputError, match=why):
            use(architecture)


def test_spread_samples_reach_smaller_and_larger_networks_than_uniform_ones() -> None:
    space, generator = mobile(), np.random.default_rng(0)
    flops = {
        sample.__name__: [
            sum(op.flops for op in space.ops(space.check(sample(generator)))) for _ in range(100)
        ]
        for sample in (space.sample, space.sample_spread)
    }
    assert min(flops["sample_spread"]) < 0.7 * min(flops["sample"])
    assert max(flops["sample_spread"]) > max(flops["sample"])
    assert np.std(flops["sample_spread"]) > 1.5 * np.std(flops["sample"])


def test_a_built_network_runs_from_input_to_classes() -> None:
    network = SMALL.build(SMALL.architecture((1, 0, 1)))
    assert network(torch.zeros(2, *SMALL.input_shape)).shape == (2, SMALL.classes)


@pytest.mark.parametrize("part", ["stem", "blocks", "head"])
def test_a_chain_has_all_its_parts(part: str) -> None:
    with pytest.raises(InputError, match="lacks a stem, blocks or a head"):
        dataclasses.replace(SMALL, **{part: ()})


def test_a_chain_whose_blocks_do_not_follow_is_refused() -> None:
    wider = OpSpec.make("conv", SHAPE, out=8, kernel=1)
    with pytest.raises(InputError, match="cannot follow"):
        chain((wider,), (conv(1),))


def test_a_block_has_no_more_candidates_than_digits() -> None:
    assert chain(tuple(conv(2 * j + 1) for j in range(36))).size == 36
    with pytest.raises(InputError, match="37 candidates"):
        chain(tuple(conv(2 * j + 1) for j in range(37)))


def test_a_block_needs_candidates_of_one_shape() -> None:
    with pytest.raises(InputError, match="0 candidates"):
        chain(())
    with pytest.raises(InputError, match="output_shape"):
        chain((conv(1), OpSpec.make("conv", SHAPE, out=8, kernel=1)))
