"""The space of ProxylessNAS (Cai, Zhu, Han, ICLR 2019), and a tiny relative for small data.

Both are chains of inverted residual blocks. A block chooses among MBConv with kernel 3, 5 or 7 and
expansion 3 or 6; where stride is 1 and the widths agree it may also be skipped. That is the paper's
Zero: with the residual connection around it the block is the identity, and a network has no node
for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiler.ops import OpSpec
from search.spaces.base import ChainSpace
from search.spaces.parameters import canonical, cells_of, check, join, scaled, widths_of

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 6)


@dataclass(frozen=True)
class Stage:
    """A run of blocks of one width; the first block has the stride."""

    width: int
    cells: int
    stride: int


@dataclass(frozen=True)
class Layout:
    """What a space of inverted residual blocks is as published.

    Attributes:
        name: of the space.
        resolution: input height and width in pixels.
        classes: number of outputs.
        stem: channels of the first convolution, and of the fixed block after it.
        stages: what is searched.
        last: channels of the last convolution.
    """

    name: str
    resolution: int
    classes: int
    stem: tuple[int, int]
    stages: tuple[Stage, ...]
    last: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the stem's two parts, of each stage, and of the last convolution."""
        return (*self.stem, *(stage.width for stage in self.stages), self.last)

    @property
    def cells(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return tuple(stage.cells for stage in self.stages)


MOBILE = Layout(
    "mobile",
    224,
    1000,
    (32, 16),
    (
        Stage(24, 4, 2),
        Stage(40, 4, 2),
        Stage(80, 4, 2),
        Stage(96, 4, 1),
        Stage(192, 4, 2),
        Stage(320, 1, 1),
    ),
    1280,
)
TINY = Layout(
    "mobile-tiny", 32, 10, (16, 8), (Stage(16, 3, 1), Stage(32, 3, 2), Stage(64, 3, 2)), 128
)


def mbconv_candidates(shape: tuple[int, ...], width: int, stride: int) -> tuple[OpSpec, ...]:
    """The candidates of a block: MBConv of each kernel and expansion, and nothing where it may be.

    Args:
        shape: of the block's input, CxHxW.
        width: channels of its output.
        stride: of the depthwise convolution.
    """
    blocks = [
        OpSpec.make("mbconv", shape, out=width, kernel=kernel, stride=stride, expand=expand)
        for kernel in KERNELS
        for expand in EXPANSIONS
    ]
    if stride == 1 and shape[0] == width:
        blocks.append(OpSpec.make("identity", shape))
    return tuple(blocks)


def _chain(
    name: str,
    layout: Layout,
    resolution: int,
    classes: int,
    widths: Sequence[int],
    cells: Sequence[int],
) -> ChainSpace:
    stem_width, first_width, *stage_widths, last_width = widths
    stem = [OpSpec.make("conv", (3, resolution, resolution), out=stem_width, kernel=3, stride=2)]
    stem.append(
        OpSpec.make("mbconv", stem[-1].output_shape, out=first_width, kernel=3, stride=1, expand=1)
    )
    shape = stem[-1].output_shape
    blocks: list[tuple[OpSpec, ...]] = []
    for stage, width, count in zip(layout.stages, stage_widths, cells, strict=True):
        for cell in range(count):
            blocks.append(mbconv_candidates(shape, width, stage.stride if cell == 0 else 1))
            shape = blocks[-1][0].output_shape
    last = OpSpec.make("conv", shape, out=last_width, kernel=1)
    pool = OpSpec.make("global_avg_pool", last.output_shape)
    logits = OpSpec.make("linear", pool.output_shape, out=classes)
    return ChainSpace(name, tuple(stem), tuple(blocks), (last, pool, logits))


def _space(
    layout: Layout, resolution: int, width: float, classes: int, depth: str | float, widths: str
) -> ChainSpace:
    check(layout.name, resolution, width, classes)
    cells = cells_of(layout.name, depth, layout.cells)
    if widths:
        channels = widths_of(layout.name, widths, width, layout.widths)
    else:
        # As in MobileNetV2 the last convolution widens with the multiplier but never narrows.
        factors = [width] * (len(layout.widths) - 1) + [max(1.0, width)]
        channels = tuple(map(scaled, layout.widths, factors))
    name = canonical(
        layout.name,
        {
            "resolution": (resolution, layout.resolution),
            "width": (width, 1.0),
            "classes": (classes, layout.classes),
            "depth": (join(cells), join(layout.cells)),
            "widths": (join(channels) if widths else "", join(layout.widths) if widths else ""),
        },
    )
    return _chain(name, layout, resolution, classes, channels, cells)


def mobile(
    resolution: int = 224,
    width: float = 1.0,
    classes: int = 1000,
    depth: str | float = "1",
    widths: str = "",
) -> ChainSpace:
    """ProxylessNAS's mobile space: 21 searchable blocks, about 10^17.3 networks.

    Args:
        resolution: input height and width in pixels.
        width: multiplier on every width.
        classes: number of outputs.
        depth: blocks of each of the six stages, ``4-4-4-4-4-1``, or a multiplier on those.
        widths: channels one by one, in place of a multiplier: first convolution, fixed block, six
            stages, last convolution; ``32-16-24-40-80-96-192-320-1280``. Published networks have
            widths that no multiplier gives.

    Raises:
        InputError: a parameter out of its range.
    """
    return _space(MOBILE, resolution, width, classes, depth, widths)


def mobile_tiny(
    resolution: int = 32,
    width: float = 1.0,
    classes: int = 10,
    depth: str | float = "1",
    widths: str = "",
) -> ChainSpace:
    """The same candidates on 32x32 input: 9 searchable blocks in 3 stages, for small data.

    Args and errors as in :func:`mobile`, but that it has three stages.
    """
    return _space(TINY, resolution, width, classes, depth, widths)
