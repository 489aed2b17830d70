"""Searches of a space that is no chain of blocks, on a recorded machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_machine import NETWORKS, record

from devices.errors import BudgetError, InputError
from devices.target import Target
from lutier.cli.profiling import run_profile
from lutier.modelling import fit_models
from lutier.plots.blocks import break_down
from lutier.results import load_network, load_result
from lutier.searching import Request
from lutier.searching_knas import search_knas
from lutier.searching_proxyless import search_proxyless
from lutier.searching_strategy import StrategyConfig, search_strategy
from lutier.settings import Settings
from lutier.sweeping import sweep_proxyless
from search.knas import KnasConfig
from search.proxyless_config import ProxylessConfig
from search.spaces.nasbench201 import NasBench201
from search.strategies import RandomSearch

CELLS = NasBench201(channels=2, cells=1, resolution=8)
BUDGET_MS = 0.25
"""Of the recorded machine, where networks take 0.08 to 0.46 ms."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Target]:
    """A machine that every network of the space was measured on, with its table and model."""
    folder = tmp_path_factory.mktemp("cells")
    record(folder / "machine.json", 1.0, "one", CELLS, list(CELLS.enumerate()))
    target = Target.parse(f"replay:{folder / 'machine.json'}/onnxruntime")
    settings = Settings(
        home=folder, db=f"sqlite:///{folder / 'l.db'}", networks=NETWORKS, min_seconds=0
    )
    run_profile(settings, target, CELLS.name, quiet=True)
    fit_models(settings, target, calibration=20)
    return settings, target


def request_of(machine: tuple[Settings, Target], folder: Path, budget_ms: float) -> Request:
    return Request(machine[1], CELLS.name, "digits", budget_ms, 0, folder, 1, quiet=True)


def test_knas_finds_a_network_within_the_budget(
    machine: tuple[Settings, Target], tmp_path: Path
) -> None:
    config = KnasConfig(pool_size=5, k=1, score="flops")
    found = search_knas(machine[0], request_of(machine, tmp_path, BUDGET_MS), config)
    assert found.measured_ms <= BUDGET_MS
    assert found.details["funnel"]["space_size"] == CELLS.size
    kept = load_result(tmp_path)
    assert CELLS.check(kept.load_architecture()).id == found.architecture
    assert load_network(tmp_path, kept)
    drawn = break_down(kept.load_space(), kept.load_architecture())
    assert [block.place for block in drawn.blocks] == ["op"] * len(drawn.blocks)
    assert drawn.blocks[0].key == CELLS.stem.key


def test_a_strategy_finds_one_too(machine: tuple[Settings, Target], tmp_path: Path) -> None:
    config = StrategyConfig(RandomSearch(), evaluations=2, epochs=1)
    found = search_strategy(machine[0], request_of(machine, tmp_path, BUDGET_MS), config)
    assert found.measured_ms <= BUDGET_MS
    assert len(found.details["evaluations"]) == 2


def test_a_budget_below_all_networks_names_the_fastest(
    machine: tuple[Settings, Target], tmp_path: Path
) -> None:
    with pytest.raises(BudgetError, match="the fastest is nasbench201"):
        search_knas(machine[0], request_of(machine, tmp_path, 0.01), KnasConfig(pool_size=5, k=1))


def test_proxyless_says_at_once_that_it_searches_chains(
    machine: tuple[Settings, Target], tmp_path: Path
) -> None:
    request = request_of(machine, tmp_path, BUDGET_MS)
    with pytest.raises(InputError, match="not a chain of blocks"):
        search_proxyless(machine[0], request, ProxylessConfig())
    with pytest.raises(InputError, match="not a chain of blocks"):
        sweep_proxyless(machine[0], request, ProxylessConfig(), [0.2, 0.3])
    assert not list(tmp_path.iterdir())
