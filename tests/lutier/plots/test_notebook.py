"""What a notebook shows of a result."""

from __future__ import annotations

import drawn_results as made

from lutier.results import SearchResult


def shown(**changed: object) -> str:
    return SearchResult.model_validate(made.result_document(**changed))._repr_html_()


def test_a_result_shows_its_figures_and_its_network() -> None:
    html = shown()
    assert "0.950 ms [0.940, 0.960] ms" in html
    assert "within the budget" in html
    assert html.count("<li ") == len(made.SPACE.ops(made.FOUND))


def test_a_result_of_a_space_that_is_not_here_shows_its_figures() -> None:
    html = shown(space="gone", architecture="gone:0")
    assert "0.950 ms" in html
    assert "<li " not in html


def test_texts_are_escaped() -> None:
    assert "<script>" not in shown(
        method="<script>alert(1)</script>", space="<b>", architecture="x:0"
    )
