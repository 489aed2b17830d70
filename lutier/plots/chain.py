"""A network drawn block by block, as SVG."""

from __future__ import annotations

import math

from markupsafe import Markup

from lutier.plots.blocks import Block, Breakdown
from lutier.plots.palette import kernel_color, light
from lutier.plots.wording import latency_text, shape_text

_WIDTH, _HEIGHT = 72, 60
_LEAST = 3.0
_GLYPH = Markup(
    '<svg class="glyph" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    ' aria-hidden="true" focusable="false">{shapes}</svg>'
)
_SHAPE = Markup('<polygon points="{points}" fill="{fill}"{more}/>')
_SKIP = Markup(
    '<line x1="0" y1="{y}" x2="{x2}" y2="{y}" stroke="{color}" stroke-width="2"'
    ' stroke-dasharray="5 4"/>'
)


def glyph(block: Block, widest: int) -> Markup:
    """One block: as high as it is wide in channels, from its input on the left to its output.

    The height goes with the square root of the channels. An inverted residual block widens in the
    middle; a block that is skipped is a dashed line. The colour stands for the kernel size.

    Args:
        block: what is drawn.
        widest: most channels that any block drawn beside it has.
    """
    middle = _HEIGHT / 2
    if block.source == "free":
        shapes = _SKIP.format(y=middle, x2=_WIDTH, color=_color("muted"))
        return _GLYPH.format(width=_WIDTH, height=_HEIGHT, shapes=shapes)

    def half(channels: int) -> float:
        return max(_LEAST, (middle - 2) * math.sqrt(channels / max(widest, 1)))

    ends = [block.input_shape[0], block.output_shape[0]]
    profile = [(0.0, half(ends[0])), (float(_WIDTH), half(ends[1]))]
    if block.widest > max(ends):
        inner = half(block.widest)
        profile[1:1] = [(_WIDTH * 0.3, inner), (_WIDTH * 0.7, inner)]
    points = [f"{x:.1f},{middle - y:.1f}" for x, y in profile]
    points += [f"{x:.1f},{middle + y:.1f}" for x, y in reversed(profile)]
    more = Markup(' fill-opacity="0.9"')
    shapes = _SHAPE.format(
        points=" ".join(points), fill=_color(kernel_color(block.kernel)), more=more
    )
    return _GLYPH.format(width=_WIDTH, height=_HEIGHT, shapes=shapes)


def _color(name: str) -> str:
    """The page's colour of that name; that of light surroundings where no page says."""
    return f"var(--{name}, {light(name)})"


def chain_html(breakdown: Breakdown) -> Markup:
    """A network as a list of drawn blocks, which wraps where there is no room.

    It stands on its own: in a notebook it needs no style sheet.
    """
    widest = max(block.widest for block in breakdown.blocks)
    items = Markup("").join(
        Markup(
            '<li style="display:inline-block;width:76px;margin:0 0 8px;font-size:11px;'
            'line-height:1.3;text-align:center;vertical-align:top">{glyph}<br><b>{label}</b>'
            "<br>{shape}<br>{ms}</li>"
        ).format(
            glyph=glyph(block, widest),
            label=block.label,
            shape=shape_text(block.output_shape),
            ms=latency_text(block) if breakdown.target else "",
        )
        for block in breakdown.blocks
    )
    return Markup('<ol style="list-style:none;margin:0;padding:0">{}</ol>').format(items)
