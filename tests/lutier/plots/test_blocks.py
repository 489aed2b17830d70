"""A network is told apart into blocks, with latencies only where they are known."""

from __future__ import annotations

import drawn_results as made
import pytest

from latency_models.composite import CompositeModel
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from latency_models.regressors import OpRegressors
from lutier.plots.blocks import break_down, describe_op
from profiler.ops import OpSpec
from profiler.table import LatencyTable
from search.spaces.mobile import mobile_tiny


def test_blocks_are_in_order_with_what_the_table_says() -> None:
    found = break_down(made.SPACE, made.FOUND, made.made_evidence())
    assert [block.key for block in found.blocks] == [op.key for op in made.SPACE.ops(made.FOUND)]
    assert [block.name for block in found.blocks[:4]] == ["stem 1", "stem 2", "block 1", "block 2"]
    assert found.blocks[-1].name == "head 3"
    first = found.blocks[0]
    assert (first.source, first.latency_ms) == ("measured", pytest.approx(0.01))
    assert first.low_ms == pytest.approx(0.0098)
    assert first.high_ms == pytest.approx(0.0102)


def test_the_sum_is_that_of_the_table_and_shares_add_up() -> None:
    evidence = made.made_evidence()
    found = break_down(made.SPACE, made.FOUND, evidence)
    assert evidence.table is not None
    wanted = sum(evidence.table.latency_ms(op) for op in made.SPACE.ops(made.FOUND))
    assert found.sum_ms == pytest.approx(wanted)
    assert sum(found.share(block) or 0 for block in found.blocks) == pytest.approx(1)


def test_a_skipped_block_is_free() -> None:
    found = break_down(made.SPACE, made.FOUND, made.made_evidence())
    skipped = [block for block in found.blocks if block.label == "skip"]
    assert skipped
    assert {(block.source, block.latency_ms) for block in skipped} == {("free", 0.0)}


def test_without_a_table_nothing_is_known() -> None:
    found = break_down(made.SPACE, made.FOUND)
    assert found.target == ""
    assert found.sum_ms is None
    assert {block.source for block in found.blocks} == {"not known", "free"}
    assert found.share(found.blocks[0]) is None


def test_an_op_that_is_not_in_the_table_is_never_guessed_without_a_regressor() -> None:
    ops = made.SPACE.all_ops()
    table = LatencyTable.from_ops(made.TARGET, dict.fromkeys(ops[1:], 1.0))
    found = break_down(made.SPACE, made.FOUND, made.made_evidence(table=table))
    assert found.blocks[0].source == "not known"
    assert found.sum_ms is None


def test_a_regressed_op_says_so() -> None:
    space = mobile_tiny()
    ops = {op: 1e-6 * op.flops + 0.001 for op in space.all_ops()}
    wanted = next(op for op in space.blocks[4] if not op.is_free)
    del ops[wanted]
    table = LatencyTable.from_ops(made.TARGET, ops)
    regressors = OpRegressors.fit(list(ops), list(ops.values()), seed=0)
    model = SumModel(CompositeModel(LookupModel(table), regressors))
    metadata = made.made_evidence().models[made.SPACE.name][1]
    evidence = made.made_evidence(table=table, models={space.name: (model, metadata)})
    found = break_down(space, space.architecture([0] * 9), evidence)
    block = found.blocks[2 + 4]
    assert block.key == wanted.key
    assert block.source == "regressed"
    assert block.latency_ms == pytest.approx(1e-6 * wanted.flops + 0.001, rel=0.5)
    assert found.sum_ms is not None


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("mbconv/16x32x32/expand=3,kernel=5,out=24,stride=2", "MB3 5x5"),
        ("conv/3x32x32/kernel=3,out=8,stride=1", "conv 3x3"),
        ("identity/3x4x4/", "skip"),
        ("global_avg_pool/3x4x4/", "pool"),
        ("linear/8/out=2", "linear"),
        ("max_pool/8x8x8/kernel=3,stride=1", "max pool 3x3"),
    ],
)
def test_ops_have_short_labels(key: str, label: str) -> None:
    assert describe_op(OpSpec.parse(key)) == label


def test_the_figure_has_a_bar_for_each_block() -> None:
    found = break_down(made.SPACE, made.FOUND, made.made_evidence())
    (axes,) = found.figure().axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [block.latency_ms for block in found.blocks]
