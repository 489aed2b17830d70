from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from devices.errors import BudgetError, InputError, MissingEntryError
from latency_models.network import SumModel
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.budget_checks import FAR
from search.checkpoint import fingerprint_of
from search.data import open_data
from search.expected_latency import LatencyMatrix
from search.knas import KnasConfig, knas_search
from search.pool import sample_pool
from search.space_latency import LARGEST_LISTED, LatencyList, price_space
from search.spaces.mobile import mobile_tiny
from search.spaces.nasbench201 import NasBench201
from search.strategies import ChainAdmissible, RandomSearch, admissible_within
from search.train import TrainConfig
from tests.search.test_expected_latency import FakeModel

CELLS = NasBench201(channels=2, cells=1, resolution=8)
NO_OUTPUT = CELLS.architecture([0] * 6)


class EveryOpTheSame:
    """A microsecond an op."""

    def predict_ms(self, specs: Sequence[OpSpec]) -> np.ndarray:
        return np.array([0.0 if spec.is_free else 1e-3 for spec in specs])


@pytest.fixture(scope="module")
def listed() -> LatencyList:
    return LatencyList.from_model(CELLS, FakeModel())


def test_every_network_has_the_price_that_the_model_gives_it(listed: LatencyList) -> None:
    networks = CELLS.distinct()
    expected_ms = FakeModel().predict_ms([CELLS.ops(network) for network in networks])
    assert listed.networks == networks
    assert listed.price(networks) == pytest.approx(expected_ms)


def test_architectures_of_one_network_have_one_price(listed: LatencyList) -> None:
    # Nothing reaches the output through the last edge: what leads to its start does not matter.
    assert listed.price([CELLS.architecture([3, 3, 3, 0, 0, 0])]) == listed.price([NO_OUTPUT])
    assert len(listed.latencies_ms) == CELLS.size


def test_the_fastest_and_the_slowest_are_the_ends_of_all(listed: LatencyList) -> None:
    prices_ms = listed.price(listed.networks)
    assert listed.fastest() == (NO_OUTPUT, prices_ms.min())
    assert listed.slowest() == (CELLS.architecture([3] * 6), prices_ms.max())


def test_an_architecture_of_another_space_is_refused(listed: LatencyList) -> None:
    with pytest.raises(InputError, match="not of the space"):
        listed.price([Architecture("nasbench201", (0,) * 6)])


@pytest.mark.parametrize("budget_ms", [0.1, math.nan])
def test_a_budget_that_nothing_meets_is_refused(listed: LatencyList, budget_ms: float) -> None:
    with pytest.raises((BudgetError, InputError), match=r"budget"):
        listed.check_budget(budget_ms)


def test_a_budget_far_above_all_is_refused(listed: LatencyList) -> None:
    with pytest.raises(BudgetError, match="far above"):
        listed.check_scale(FAR * listed.slowest()[1])


def test_latencies_have_to_be_those_of_the_whole_space(listed: LatencyList) -> None:
    some = {NO_OUTPUT: 1.0}
    with pytest.raises(InputError, match="latencies of 1 architectures"):
        LatencyList(CELLS, some)
    with pytest.raises(InputError, match="not all finite"):
        LatencyList(CELLS, {**listed.latencies_ms, NO_OUTPUT: math.inf})


def test_a_large_space_is_not_priced_one_by_one() -> None:
    space = mobile_tiny()
    assert space.size > LARGEST_LISTED
    with pytest.raises(InputError, match="one by one"):
        LatencyList.from_model(space, FakeModel())


def test_a_pool_is_drawn_from_all_networks_within_the_budget(listed: LatencyList) -> None:
    budget_ms = float(np.median(listed.price(listed.networks)))
    within = [one for one in listed.networks if listed.latencies_ms[one] <= budget_ms]
    whole = sample_pool(listed, budget_ms, 100_000, np.random.default_rng(0))
    assert list(whole.architectures) == within
    assert whole.admissible == whole.admissible_at_most == len(within)
    drawn = sample_pool(listed, budget_ms, 50, np.random.default_rng(0))
    assert len(set(drawn.architectures)) == 50
    assert set(drawn.architectures) <= set(within)
    assert drawn.latencies_ms.max() <= budget_ms


def test_a_pool_has_a_floor(listed: LatencyList) -> None:
    prices_ms = sorted(listed.price(listed.networks).tolist())
    floor_ms, budget_ms = prices_ms[1000], prices_ms[2000]
    pool = sample_pool(listed, budget_ms, 10_000, np.random.default_rng(0), floor_ms)
    assert pool.latencies_ms.min() == floor_ms
    above_ms = np.nextafter(prices_ms[-1], 0)
    with pytest.raises(InputError, match="lower floor_ms"):
        sample_pool(listed, above_ms, 10, np.random.default_rng(0), np.nextafter(above_ms, 0))


def test_a_pool_of_a_list_is_uniform(listed: LatencyList) -> None:
    budget_ms = sorted(listed.price(listed.networks).tolist())[19]
    networks = sample_pool(listed, budget_ms, 1000, np.random.default_rng(0)).architectures
    counts = dict.fromkeys(networks, 0)
    generator = np.random.default_rng(1)
    for _ in range(400):
        for one in sample_pool(listed, budget_ms, 5, generator).architectures:
            counts[one] += 1
    expected = 5 * 400 / len(networks)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    # Above the mean of len - 1 by four of its standard deviations, sqrt(2 (len - 1)).
    assert chi_square < len(networks) - 1 + 4 * math.sqrt(2 * (len(networks) - 1))


def test_strategies_search_either_kind(listed: LatencyList) -> None:
    budget_ms = float(np.median(listed.price(listed.networks)))
    admissible = admissible_within(listed, budget_ms)
    found = RandomSearch().search(admissible, lambda one: float(sum(one.choices)), 30, 0)
    assert len({one.architecture for one in found.history}) == 30
    assert all(one.latency_ms <= budget_ms for one in found.history)
    assert all(one.architecture in listed.networks for one in found.history)
    matrix = LatencyMatrix.from_model(mobile_tiny(), FakeModel())
    assert admissible_within(matrix, 1e3) == ChainAdmissible(matrix, 1e3)


def test_a_budget_below_the_fastest_is_told_with_the_range(listed: LatencyList) -> None:
    with pytest.raises(BudgetError, match="the slowest takes"):
        admissible_within(listed, 0.1)


def test_neighbours_of_a_listed_network_are_networks_within_the_budget(
    listed: LatencyList,
) -> None:
    admissible = admissible_within(listed, listed.slowest()[1])
    near = admissible.neighbours(NO_OUTPUT)
    found = {one for group in near.within for one in group}
    # Only the edge from input to output changes what a cell without edges computes.
    assert found == {CELLS.architecture([0, 0, 0, op, 0, 0]) for op in range(1, 5)}
    assert near.over_budget == 0


def test_knas_searches_cells(listed: LatencyList, tmp_path: Path) -> None:
    data = open_data("digits", CELLS.input_shape, 0)
    budget_ms = float(np.median(listed.price(listed.networks)))
    config = KnasConfig(
        pool_size=6, k=1, score="synflow", train=TrainConfig(epochs=1, batch_size=256)
    )
    found = knas_search(CELLS, listed, data, budget_ms, config, checkpoint=tmp_path)
    assert found.funnel.space_size == CELLS.size
    assert found.ranking[0].predicted_ms <= budget_ms
    again = knas_search(CELLS, listed, data, budget_ms, config, checkpoint=tmp_path)
    assert again.ranking == found.ranking


def test_a_search_of_cells_is_known_by_its_latencies(listed: LatencyList) -> None:
    changed = LatencyList(CELLS, {**listed.latencies_ms, NO_OUTPUT: 0.1})
    first, second = fingerprint_of(latency=listed), fingerprint_of(latency=changed)
    different = {name for name in first if first[name] != second[name]}
    assert different == {"latency.latencies_ms"}


def test_a_model_is_asked_near_the_budget_for_a_chain_and_in_full_for_others() -> None:
    model = SumModel(EveryOpTheSame())
    assert isinstance(price_space(mobile_tiny(), model, 1.0), LatencyMatrix)
    cells = price_space(CELLS, model, 1.0)
    assert isinstance(cells, LatencyList)
    ops = [op for op in CELLS.ops(cells.slowest()[0]) if not op.is_free]
    assert cells.slowest()[1] == pytest.approx(1e-3 * len(ops))


def test_an_op_without_a_price_is_named() -> None:
    with pytest.raises(MissingEntryError, match="not in the table"):
        LatencyList.from_model(CELLS, FakeModel(missing=CELLS.stem))
