from __future__ import annotations

import torch

from profiler.ops import OpSpec
from search.spaces.cell import Cell


def test_the_output_is_the_sum_of_the_edges_into_the_last_node() -> None:
    skip, pool = OpSpec.make("identity", (2, 4, 4)), OpSpec.make("avg_pool", (2, 4, 4), kernel=3)
    cell = Cell([skip, pool, None, skip, skip, skip])
    x = torch.randn(1, 2, 4, 4)
    average = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(cell(x), 2 * x + average)


def test_edges_that_give_nothing_have_no_module() -> None:
    assert not list(Cell([None] * 6).edges)
