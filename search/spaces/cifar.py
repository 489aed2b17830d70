"""A space for CIFAR-10, after that of ProxylessNAS (Cai, Zhu, Han, ICLR 2019).

The paper takes a PyramidNet (Han, Kim, Kim, CVPR 2017): three stages at 32, 16 and 8 pixels whose
width grows by the same amount from block to block. Each residual block is a 1x1 convolution, a
cell, and a 1x1 convolution; the cell is a tree of operations whose branches are copied or split,
and added or concatenated; the shortcut is padded with zeros where the block widens
(``proxyless_nas/cifar_modules.py`` of github.com/mit-han-lab/proxylessnas). What was published is
a network of 5.7 million parameters with 2.08 % error.

What is the same here: the three stages, the pyramid, a search in every block with no two tied, and
1x1, searched, 1x1 as what a block is. What differs, so that every candidate is an op that can be
measured on its own and a network is a chain of those:

- A tree has one leaf. Its operation is a depthwise convolution of kernel 3, 5 or 7, at 3 or 6 times
  the channels (MBConv, which puts the extra channels inside and not outside of the block), or it is
  two full 3x3 convolutions, PyramidNet's own block.
- Widths grow at every other block. In between they agree, so there MBConv has its residual
  connection and a block may be skipped, as in the paper's space for ImageNet.
- No zeros are padded. Where a block widens, MBConv has no shortcut, and the block of 3x3
  convolutions has a 1x1 convolution there.

So figures of the paper's CIFAR-10 networks are not those of networks of this space.
"""

from __future__ import annotations

from profiler.ops import OpSpec
from search.spaces.base import ChainSpace
from search.spaces.mobile import mbconv_candidates
from search.spaces.parameters import canonical, cells_of, check, join, scaled

NAME = "proxyless-cifar"
CELLS = (6, 6, 6)
FIRST, LAST = 16, 304
"""Channels of the first convolution and of the last block."""
_EVERY = 2
"""A stage widens at its first block, and at every other one after that."""


def _candidates(shape: tuple[int, ...], width: int, stride: int) -> tuple[OpSpec, ...]:
    plain = OpSpec.make("residual_block", shape, out=width, stride=stride)
    return (*mbconv_candidates(shape, width, stride), plain)


def proxyless_cifar(
    resolution: int = 32, width: float = 1.0, classes: int = 10, depth: str | float = "1"
) -> ChainSpace:
    """A pyramid of three stages for small images: 18 searchable blocks, about 10^15.7 networks.

    Args:
        resolution: input height and width in pixels, a multiple of 4.
        width: multiplier on every width.
        classes: number of outputs.
        depth: blocks of each of the three stages, ``6-6-6``, or a multiplier on those. However
            many there are, the last is as wide.

    Raises:
        InputError: a parameter out of its range.
    """
    check(NAME, resolution, width, classes, multiple=4)
    cells = cells_of(NAME, depth, CELLS)
    parameters: dict[str, tuple[float | str, float | str]] = {
        "resolution": (resolution, 32),
        "width": (width, 1.0),
        "classes": (classes, 10),
        "depth": (join(cells), join(CELLS)),
    }
    # PyramidNet's first convolution has no activation: its blocks begin with one.
    stem = OpSpec.make(
        "conv",
        (3, resolution, resolution),
        out=scaled(FIRST, width),
        kernel=3,
        activation="none",
    )
    shape = stem.output_shape
    steps = sum(-(-count // _EVERY) for count in cells)
    step = 0
    blocks: list[tuple[OpSpec, ...]] = []
    for stage, count in enumerate(cells):
        for cell in range(count):
            step += cell % _EVERY == 0
            channels = scaled(round(FIRST + (LAST - FIRST) * step / steps), width)
            stride = 2 if stage > 0 and cell == 0 else 1
            blocks.append(_candidates(shape, channels, stride))
            shape = blocks[-1][0].output_shape
    norm = OpSpec.make("batch_norm", shape, activation="relu")
    pool = OpSpec.make("global_avg_pool", shape)
    logits = OpSpec.make("linear", pool.output_shape, out=classes)
    return ChainSpace(canonical(NAME, parameters), (stem,), tuple(blocks), (norm, pool, logits))
