"""A network drawn block by block."""

from __future__ import annotations

from xml.etree import ElementTree

import drawn_results as made

from lutier.plots.blocks import Breakdown, break_down
from lutier.plots.chain import chain_html, glyph


def height(block_number: int, found: Breakdown) -> float:
    widest = max(block.widest for block in found.blocks)
    svg = ElementTree.fromstring(str(glyph(found.blocks[block_number], widest)))  # noqa: S314
    points = next(each.attrib["points"] for each in svg.iter("polygon")).split()
    ys = [float(point.split(",")[1]) for point in points]
    return max(ys) - min(ys)


def test_a_block_is_as_high_as_it_is_wide() -> None:
    found = break_down(made.SPACE, made.FOUND)
    widest = max(range(len(found.blocks)), key=lambda i: found.blocks[i].widest)
    assert height(widest, found) > height(0, found)
    assert height(widest, found) == 56


def test_a_skipped_block_is_a_line() -> None:
    found = break_down(made.SPACE, made.FOUND)
    skipped = next(block for block in found.blocks if block.source == "free")
    drawn = str(glyph(skipped, 8))
    assert "<line" in drawn
    assert "<polygon" not in drawn


def test_the_chain_is_a_list_of_all_blocks_with_their_latencies() -> None:
    found = break_down(made.SPACE, made.FOUND, made.made_evidence())
    tree = ElementTree.fromstring(str(chain_html(found)).replace("<br>", "<br/>"))  # noqa: S314
    items = ["".join(item.itertext()) for item in tree]
    assert len(items) == len(found.blocks)
    assert "10.0 us" in items[0]
    assert "conv 3x3" in items[0]


def test_without_latencies_none_are_written() -> None:
    assert "not known" not in chain_html(break_down(made.SPACE, made.FOUND))
