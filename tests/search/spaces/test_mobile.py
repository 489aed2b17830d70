from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from devices.errors import InputError
from profiler.builders.modules import build_chain, check_chain
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny


def test_mobile_is_the_space_of_proxylessnas() -> None:
    space = mobile()
    assert space.input_shape == (3, 224, 224)
    assert space.classes == 1000
    assert len(space.blocks) == 21
    # Where stride is 1 and the widths agree a block may be skipped.
    assert sum(len(block) == 7 for block in space.blocks) == 15
    assert sum(len(block) == 6 for block in space.blocks) == 6
    assert math.log10(space.size) == pytest.approx(17.3, abs=0.05)
    widths = [width for width, _ in itertools.groupby(b[0].output_shape for b in space.blocks)]
    assert widths == [
        (24, 56, 56),
        (40, 28, 28),
        (80, 14, 14),
        (96, 14, 14),
        (192, 7, 7),
        (320, 7, 7),
    ]
    assert [op.output_shape for op in (*space.stem, *space.head)] == [
        (32, 112, 112),
        (16, 112, 112),
        (1280, 7, 7),
        (1280,),
        (1000,),
    ]


def test_candidates_are_kernels_and_expansions() -> None:
    block = mobile().blocks[0]
    taken = {(op.integer("kernel"), op.integer("expand")) for op in block}
    assert taken == set(itertools.product((3, 5, 7), (3, 6)))


@pytest.mark.parametrize(
    "space",
    [
        mobile(),
        mobile(resolution=97, width=0.35, classes=7),
        mobile_tiny(),
        mobile_tiny(8, 2.0, 3),
    ],
    ids=lambda space: space.name,
)
def test_any_candidates_fit_together(space: ChainSpace) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        check_chain(space.ops(space.sample(generator)))


def test_a_tiny_network_runs() -> None:
    space = mobile_tiny(classes=7)
    network = build_chain(space.ops(space.sample(np.random.default_rng(0)))).eval()
    assert network(torch.zeros(2, *space.input_shape)).shape == (2, 7)


def test_names_carry_what_differs_from_the_default() -> None:
    assert mobile().name == "mobile"
    assert mobile(96, 0.5).name == "mobile?resolution=96&width=0.5"
    assert mobile_tiny(classes=100).name == "mobile-tiny?classes=100"


def test_widths_are_multiples_of_eight_never_much_below_the_wanted() -> None:
    for multiplier in (0.35, 0.5, 0.75, 1.4):
        narrow = mobile(width=multiplier)
        for scaled, full in zip(narrow.blocks, mobile().blocks, strict=True):
            width, wanted = scaled[0].output_shape[0], full[0].output_shape[0] * multiplier
            assert width % 8 == 0
            assert width >= 0.9 * wanted


def test_the_last_convolution_widens_but_does_not_narrow() -> None:
    assert mobile(width=0.5).head[0].output_shape[0] == 1280
    assert mobile(width=2.0).head[0].output_shape[0] == 2560


@pytest.mark.parametrize(
    "parameters",
    [
        {"resolution": 7},
        {"resolution": 5000},
        {"width": 0.0},
        {"width": math.nan},
        {"width": 11.0},
        {"classes": 1},
        {"classes": 10_000_000},
    ],
)
@pytest.mark.parametrize("factory", [mobile, mobile_tiny])
def test_parameters_out_of_range_are_refused(
    factory: Callable[..., ChainSpace], parameters: dict[str, float]
) -> None:
    with pytest.raises(InputError, match="must be"):
        factory(**parameters)


def test_depth_is_cells_of_each_stage_however_it_is_given() -> None:
    shallow = mobile(depth=0.5)
    assert shallow == mobile(depth="2-2-2-2-2-1") == mobile(depth="0.5")
    assert shallow.name == "mobile?depth=2-2-2-2-2-1"
    assert len(shallow.blocks) == 11
    assert mobile(depth=1.0) == mobile(depth="4-4-4-4-4-1") == mobile()
    assert mobile_tiny(depth=2.0).name == "mobile-tiny?depth=6-6-6"


def test_depth_leaves_shapes_between_stages_as_they_were() -> None:
    for depth in ("1-1-1-1-1-1", "1-2-3-4-5-6"):
        changed = [op.output_shape for op in mobile(depth=depth).head]
        assert changed == [op.output_shape for op in mobile().head]
        ends = {block[0].output_shape for block in mobile(depth=depth).blocks}
        assert ends == {block[0].output_shape for block in mobile().blocks}


def test_widths_one_by_one_are_taken_as_they_are() -> None:
    text = "40-24-32-48-88-104-216-360-1432"
    space = mobile(widths=text)
    assert space.name == f"mobile?widths={text}"
    chain = (*space.stem, *(block[0] for block in space.blocks), space.head[0])
    assert [w for w, _ in itertools.groupby(op.output_shape[0] for op in chain)] == [
        int(width) for width in text.split("-")
    ]
    assert mobile(widths="32-16-24-40-80-96-192-320-1280") == mobile()


def test_a_depth_or_widths_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="6 stages"):
        mobile(depth="4-4")
    with pytest.raises(InputError, match="3 stages"):
        mobile_tiny(depth="4-4-4-4-4-1")
    with pytest.raises(InputError, match="9 parts"):
        mobile(widths="32-16")
    with pytest.raises(InputError, match="either of them"):
        mobile(width=0.5, widths="32-16-24-40-80-96-192-320-1280")
