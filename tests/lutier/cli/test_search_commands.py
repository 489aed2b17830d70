from __future__ import annotations

import pytest

import search.strategies
from lutier.cli.main import main
from lutier.cli.search_knas import DEFAULT_SCORE
from lutier.cli.search_strategies import KINDS, Kind
from search import scoring


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_strategy_has_a_command_with_an_example(
    kind: Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["search", kind.name, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert f"Example: lutier search {kind.name}" in out
    assert "--evaluations" in out
    assert kind.make(population=None) == getattr(search.strategies, kind.strategy)()


def test_every_strategy_has_a_command() -> None:
    ours = {
        name
        for name in search.strategies.__all__
        if isinstance(getattr(search.strategies, name), type)
        and issubclass(getattr(search.strategies, name), search.strategies.Strategy)
    }
    assert {kind.strategy for kind in KINDS} == ours - {"Strategy"}


def test_half_of_a_population_is_a_tournament_unless_said_otherwise() -> None:
    evolution = next(kind for kind in KINDS if kind.name == "evolution")
    assert evolution.make(population=6, sample=None) == search.strategies.RegularizedEvolution(6, 3)
    assert evolution.make(population=6, sample=2) == search.strategies.RegularizedEvolution(6, 2)


def test_the_default_score_is_that_of_the_library() -> None:
    assert DEFAULT_SCORE == scoring.DEFAULT_SCORE
