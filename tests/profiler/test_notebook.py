"""Objects with a look in a terminal have the same one in a notebook."""

from __future__ import annotations

from latency_models.evaluate import evaluate
from profiler.ops import OpSpec
from profiler.table import LatencyTable


def test_a_table_shows_its_kinds() -> None:
    op = OpSpec.parse("conv/3x8x8/kernel=3,out=8,stride=1")
    shown = LatencyTable.from_ops("cpu/onnxruntime?threads=1", {op: 0.5})._repr_html_()
    assert "0.5000 ms" in shown
    assert "1 ops, 0 networks" in shown


def test_names_are_escaped() -> None:
    shown = LatencyTable.from_ops("file:<script>/yaml", {})._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_an_evaluation_shows_its_figures() -> None:
    assert "50.00%" in evaluate([1.5, 1.5], [1.0, 1.0])._repr_html_()
