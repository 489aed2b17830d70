from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from strategy_problems import chain, chain_problem, list_problem, listed, matrix_of

from devices.errors import BudgetError, InputError
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.pool import sample_pool
from search.spaces.mobile import mobile
from search.strategies import admissible as admissible_module
from search.strategies.admissible import ChainAdmissible, ListAdmissible, one_hot


def network(admissible: ChainAdmissible, architecture: Architecture) -> tuple[OpSpec, ...]:
    space = admissible.matrix.space
    return tuple(op for op in space.ops(architecture) if not op.is_free)


@given(st.integers(1, 5), st.integers(1, 3), st.floats(0, 1), st.integers(0, 99))
def test_shuffled_gives_each_network_within_the_budget_once(
    blocks: int, candidates: int, share: float, seed: int
) -> None:
    admissible = chain_problem(blocks, candidates, share, seed)
    drawn = list(admissible.shuffled(np.random.default_rng(seed)))
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == set(listed(admissible))


def test_canonical_is_one_to_one_with_networks() -> None:
    admissible = chain_problem(5, 2, 1.0)
    everything = list(admissible.matrix.space.enumerate())
    canonical = {admissible.canonical(a) for a in everything}
    assert {admissible.canonical(a) for a in canonical} == canonical
    assert len(canonical) == len({network(admissible, a) for a in everything})
    for architecture in everything:
        same = admissible.canonical(architecture)
        assert network(admissible, same) == network(admissible, architecture)


def test_canonical_agrees_with_the_pool_in_the_mobile_space() -> None:
    matrix = matrix_of(mobile())
    budget_ms = (matrix.fastest()[1] + matrix.slowest()[1]) / 2
    admissible = ChainAdmissible(matrix, budget_ms)
    pool = sample_pool(matrix, budget_ms, 200, np.random.default_rng(0))
    assert [admissible.canonical(a) for a in pool.architectures] == list(pool.architectures)


@pytest.mark.parametrize("kind", ["chain", "list"])
def test_the_first_network_is_uniform(kind: str) -> None:
    admissible = chain_problem(3, 2) if kind == "chain" else list_problem(0.2)
    expected = listed(admissible)
    generator = np.random.default_rng(0)
    seen = Counter(next(admissible.shuffled(generator)) for _ in range(60 * len(expected)))
    assert set(seen) == set(expected)
    assert scipy.stats.chisquare(list(seen.values())).pvalue > 1e-4


def test_a_set_larger_than_a_draw_is_given_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissible_module, "_FIRST_DRAW", 4)
    admissible = chain_problem()
    drawn = list(admissible.shuffled(np.random.default_rng(0)))
    assert len(drawn) == len(set(drawn)) > 40
    assert set(drawn) == set(listed(admissible))


def test_neighbours_of_a_chain_are_all_networks_one_block_away() -> None:
    admissible = chain_problem(4, 3, 0.4)
    space = admissible.matrix.space
    for architecture in listed(admissible):
        one_away = {
            admissible.canonical(other)
            for other in space.enumerate()
            if sum(a != b for a, b in zip(architecture.choices, other.choices, strict=True)) == 1
        } - {architecture}
        found = admissible.neighbours(architecture)
        flat = [a for group in found.within for a in group]
        assert set(flat) == one_away & set(listed(admissible))
        assert all(found.within)
        assert len(found.within) <= len(space.blocks)
        assert found.over_budget >= len(one_away) - len(set(flat))


def test_neighbours_of_a_list_are_those_of_the_list_within_the_budget() -> None:
    whole = list_problem(0.5)
    dropped = next(a for a in whole.latencies_ms if a.choices == (0, 0, 0, 1))
    latencies_ms = {a: ms for a, ms in whole.latencies_ms.items() if a != dropped}
    admissible = ListAdmissible(latencies_ms, whole.budget_ms, whole.neighbours_of)
    start = Architecture("small", (0, 0, 0, 0))
    found = admissible.neighbours(start)
    others = [a for a in whole.neighbours_of(start) if a != dropped]
    kept = [a for a in others if latencies_ms[a] <= admissible.budget_ms]
    assert found.within == (tuple(kept),)
    assert found.over_budget == len(others) - len(kept) > 0


def test_without_a_function_neighbours_differ_in_one_choice() -> None:
    given = list_problem(0.5)
    plain = ListAdmissible(given.latencies_ms, given.budget_ms)
    for architecture in listed(given)[:10]:
        found = plain.neighbours(architecture)
        expected = given.neighbours(architecture)
        assert [a for group in found.within for a in group] == list(sum(expected.within, ()))
        assert found.over_budget == expected.over_budget
        for group in found.within:
            # Those of a group differ at the same position.
            places = {i for a in group for i in range(4) if a.choices[i] != architecture.choices[i]}
            assert len(places) == 1


def test_equal_networks_of_a_list_are_known_by_one() -> None:
    whole = list_problem(1.0)

    def same_as(architecture: Architecture) -> Architecture:
        return Architecture("small", tuple(sorted(architecture.choices)))

    admissible = ListAdmissible(whole.latencies_ms, 5.0, whole.neighbours_of, same_as)
    drawn = list(admissible.shuffled(np.random.default_rng(0)))
    assert len(drawn) == 15
    assert all(a == same_as(a) for a in drawn)
    (group,) = admissible.neighbours(Architecture("small", (0, 0, 0, 0))).within
    assert {a.choices for a in group} == {(0, 0, 0, 1), (0, 0, 0, 2)}


def test_features_are_the_choices_or_what_is_given() -> None:
    admissible = chain_problem(2, 2)
    architectures = [Architecture("small", (0, 2)), Architecture("small", (1, 0))]
    assert admissible.features(architectures).tolist() == [[1, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0]]
    assert one_hot([], (3, 2)).shape == (0, 5)

    def flops(given: object) -> np.ndarray:
        return np.ones((2, 1))

    described = ChainAdmissible(admissible.matrix, admissible.budget_ms, flops)
    assert described.features(architectures).tolist() == [[1.0], [1.0]]


def test_a_budget_only_one_network_meets_has_one_and_no_neighbours() -> None:
    matrix = matrix_of(chain(4, 3))
    fastest, fastest_ms = matrix.fastest()
    admissible = ChainAdmissible(matrix, fastest_ms)
    assert list(admissible.shuffled(np.random.default_rng(0))) == [fastest]
    assert admissible.neighbours(fastest).within == ()


@pytest.mark.parametrize("kind", ["chain", "list"])
def test_a_budget_nothing_meets_names_the_fastest(kind: str) -> None:
    if kind == "chain":
        matrix = matrix_of(chain(4, 3))
        with pytest.raises(BudgetError, match=matrix.fastest()[0].id):
            ChainAdmissible(matrix, matrix.fastest()[1] * 0.99)
        return
    with pytest.raises(BudgetError, match=r"the fastest is small:.* at least"):
        list_problem(-0.5)


def test_lists_that_cannot_be_searched_are_refused() -> None:
    one = Architecture("small", (0, 1))
    with pytest.raises(InputError, match="no networks"):
        ListAdmissible({}, 1.0, lambda a: [])
    with pytest.raises(InputError, match="different lengths"):
        ListAdmissible({one: 1.0, Architecture("small", (0,)): 1.0}, 1.0, lambda a: [])
    with pytest.raises(InputError, match="not all finite"):
        ListAdmissible({one: math.nan}, 1.0, lambda a: [])
    with pytest.raises(InputError, match="not a number"):
        ListAdmissible({one: 1.0}, math.nan, lambda a: [])
    with pytest.raises(InputError, match="not in the list"):
        ListAdmissible({one: 1.0}, 1.0, lambda a: []).latency_ms(Architecture("small", (0, 2)))


@pytest.mark.parametrize("kind", ["chain", "list"])
def test_architectures_by_their_choices(kind: str) -> None:
    admissible = chain_problem(4, 2) if kind == "chain" else list_problem()
    assert admissible.architecture([0, 1, 2, 0]) == Architecture("small", (0, 1, 2, 0))
    if isinstance(admissible, ListAdmissible):
        assert admissible.widths == (3, 3, 3, 3)
        assert admissible.architecture([0, 1, 3, 0]) is None
