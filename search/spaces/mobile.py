"""The space of ProxylessNAS (Cai, Zhu, Han, ICLR 2019), and a tiny relative for small data.

Both are chains of inverted residual blocks. A block chooses among MBConv with kernel 3, 5 or 7 and
expansion 3 or 6; where stride is 1 and the widths agree it may also be skipped. That is the paper's
Zero: with the residual connection around it the block is the identity, and a network has no node
for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from devices.errors import InputError
from profiler.ops import OpSpec
from search.spaces.base import ChainSpace

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 6)


@dataclass(frozen=True)
class Stage:
    """A run of blocks of one width; the first block has the stride."""

    width: int
    cells: int
    stride: int


MOBILE_STAGES = (
    Stage(24, 4, 2),
    Stage(40, 4, 2),
    Stage(80, 4, 2),
    Stage(96, 4, 1),
    Stage(192, 4, 2),
    Stage(320, 1, 1),
)
TINY_STAGES = (Stage(16, 3, 1), Stage(32, 3, 2), Stage(64, 3, 2))


def _scaled(width: int, multiplier: float) -> int:
    """A width times a multiplier, a multiple of 8, never more than a tenth below (MobileNetV2)."""
    wanted = width * multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _candidates(shape: tuple[int, ...], width: int, stride: int) -> tuple[OpSpec, ...]:
    blocks = [
        OpSpec.make("mbconv", shape, out=width, kernel=kernel, stride=stride, expand=expand)
        for kernel in KERNELS
        for expand in EXPANSIONS
    ]
    if stride == 1 and shape[0] == width:
        blocks.append(OpSpec.make("identity", shape))
    return tuple(blocks)


def _canonical(name: str, parameters: dict[str, tuple[float, float]]) -> str:
    """The space's name with the parameters that differ from their defaults."""
    given = [
        f"{key}={int(value) if value == int(value) else value!r}"
        for key, (value, default) in parameters.items()
        if value != default
    ]
    return f"{name}?{'&'.join(given)}" if given else name


def _check(name: str, resolution: int, width: float, classes: int) -> None:
    if not 8 <= resolution <= 4096:
        raise InputError(f"{name}?resolution={resolution}", "must be 8 to 4096 pixels")
    if not (math.isfinite(width) and 0.05 <= width <= 10):
        raise InputError(f"{name}?width={width}", "must be 0.05 to 10")
    if not 2 <= classes <= 1_000_000:
        raise InputError(f"{name}?classes={classes}", "must be 2 to 1000000")


def _chain(
    name: str,
    resolution: int,
    multiplier: float,
    classes: int,
    stem_widths: tuple[int, int],
    stages: Sequence[Stage],
    last_width: int,
) -> ChainSpace:
    stem_width, first_width = (_scaled(width, multiplier) for width in stem_widths)
    stem = [OpSpec.make("conv", (3, resolution, resolution), out=stem_width, kernel=3, stride=2)]
    stem.append(
        OpSpec.make("mbconv", stem[-1].output_shape, out=first_width, kernel=3, stride=1, expand=1)
    )
    shape = stem[-1].output_shape
    blocks: list[tuple[OpSpec, ...]] = []
    for stage in stages:
        for cell in range(stage.cells):
            width = _scaled(stage.width, multiplier)
            blocks.append(_candidates(shape, width, stage.stride if cell == 0 else 1))
            shape = blocks[-1][0].output_shape
    # As in MobileNetV2 the last convolution widens with the multiplier but never narrows.
    last = OpSpec.make("conv", shape, out=_scaled(last_width, max(1.0, multiplier)), kernel=1)
    pool = OpSpec.make("global_avg_pool", last.output_shape)
    logits = OpSpec.make("linear", pool.output_shape, out=classes)
    return ChainSpace(name, tuple(stem), tuple(blocks), (last, pool, logits))


def mobile(resolution: int = 224, width: float = 1.0, classes: int = 1000) -> ChainSpace:
    """ProxylessNAS's mobile space: 21 searchable blocks, about 10^17.3 networks.

    Args:
        resolution: input height and width in pixels.
        width: multiplier on every width.
        classes: number of outputs.

    Raises:
        InputError: a parameter out of its range.
    """
    _check("mobile", resolution, width, classes)
    parameters = {
        "resolution": (resolution, 224),
        "width": (width, 1.0),
        "classes": (classes, 1000),
    }
    name = _canonical("mobile", parameters)
    return _chain(name, resolution, width, classes, (32, 16), MOBILE_STAGES, 1280)


def mobile_tiny(resolution: int = 32, width: float = 1.0, classes: int = 10) -> ChainSpace:
    """The same candidates on 32x32 input: 9 searchable blocks in 3 stages, for small data.

    Args and errors as in :func:`mobile`.
    """
    _check("mobile-tiny", resolution, width, classes)
    parameters = {"resolution": (resolution, 32), "width": (width, 1.0), "classes": (classes, 10)}
    name = _canonical("mobile-tiny", parameters)
    return _chain(name, resolution, width, classes, (16, 8), TINY_STAGES, 128)
