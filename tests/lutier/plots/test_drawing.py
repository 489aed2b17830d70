"""Figures to files."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made
import pytest

from devices.errors import InputError, MissingExtraError
from lutier.plots.blocks import break_down
from lutier.plots.drawing import html_table, new_figure, plain, save_figure, write_output


def figure() -> object:
    return break_down(made.SPACE, made.FOUND, made.made_evidence()).figure()


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_each_format_is_written_and_the_same_twice(
    suffix: str, start: bytes, tmp_path: Path
) -> None:
    drawn = break_down(made.SPACE, made.FOUND, made.made_evidence())
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    save_figure(drawn.figure(), first)
    save_figure(drawn.figure(), second)
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_another_suffix_is_refused_with_one_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.svg"):
        save_figure(new_figure(1, 1), tmp_path / "a.gif")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        write_output(tmp_path, "x")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_output(tmp_path / "file" / "page.html", "x")


def test_a_notebook_gets_an_svg_element() -> None:
    shown = break_down(made.SPACE, made.FOUND, made.made_evidence())._repr_html_()
    assert shown.startswith("<svg")
    assert "MB6" in shown


def test_a_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="pip install matplotlib"):
        new_figure(1, 1)


def test_texts_are_taken_word_for_word() -> None:
    assert plain("$x$") == r"\$x\$"
    assert html_table("<b>", ["<i>"], [["<script>"]]).count("&lt;") == 3
