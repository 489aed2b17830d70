"""The networks of a page."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made

from lutier.plots.runs import find_runs
from lutier.report.cards import cards


def test_every_network_is_there_once_with_what_it_was(tmp_path: Path) -> None:
    found = cards(made.two_runs(tmp_path), {made.TARGET: made.made_evidence()})
    assert [(card.architecture, card.is_result) for card in found] == [
        (made.FOUND.id, True),
        (made.OTHER.id, True),
        (made.TRIED.id, False),
    ]
    assert found[0].roles == ("found by first",)
    assert found[1].roles == ("found by second", "finalist of first, trained")
    assert found[2].roles == ("measured by second on its way",)
    assert len({card.id for card in found}) == 3


def test_only_a_result_with_known_latencies_has_a_plot(tmp_path: Path) -> None:
    runs = made.two_runs(tmp_path)
    known = cards(runs, {made.TARGET: made.made_evidence()})
    assert [card.plot is not None for card in known] == [True, True, False]
    assert [card.plot for card in cards(runs, {})] == [None, None, None]


def test_flops_and_parameters_are_those_of_the_ops(tmp_path: Path) -> None:
    (card,) = cards(find_runs([made.write_result(tmp_path)]), {})
    ops = made.SPACE.ops(made.FOUND)
    assert card.flops == sum(op.flops for op in ops)
    assert card.parameters == sum(op.parameters for op in ops)
    assert len(card.glyphs) == len(ops)
