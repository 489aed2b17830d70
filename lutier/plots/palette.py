"""The colours of plots and pages, each for light and for dark surroundings.

Text stands out from what it is written on by 4.5 to 1 or more.
"""

from __future__ import annotations

LIGHT, DARK = 0, 1

COLORS = {
    "page": ("#ffffff", "#11151b"),
    "raised": ("#f5f7f9", "#191f27"),
    "line": ("#d8dee6", "#323b47"),
    "grid": ("#e7ebf0", "#2a323d"),
    "text": ("#1a2330", "#e7ebf1"),
    "muted": ("#55606f", "#a5b0be"),
    "link": ("#1d5ea8", "#7fb6f2"),
    "blue": ("#2a6bb2", "#77aeee"),
    "orange": ("#b65318", "#f2a468"),
    "teal": ("#14796b", "#5cc8b4"),
    "plum": ("#84469b", "#cf9ce7"),
    "gray": ("#7a8594", "#8c97a6"),
    "good": ("#1c7746", "#6dd098"),
    "bad": ("#b4261d", "#f48e85"),
    "warn": ("#865d00", "#e5bd5c"),
}
"""Of everything but heat, by name."""

HEAT = (
    ("#eaf2fb", "#1e2c3c"),
    ("#cfe1f5", "#234059"),
    ("#aecdee", "#2a547a"),
    ("#86b3e3", "#33658f"),
    ("#629ad6", "#4a86bd"),
    ("#3672b6", "#6fa6da"),
    ("#245592", "#9ec7f0"),
)
"""From the fastest to the slowest."""

HEAT_TEXT = (
    *((COLORS["text"][LIGHT], COLORS["text"][DARK]),) * 4,
    (COLORS["text"][LIGHT], "#0d1117"),
    *(("#fffffe", "#0d1117"),) * 2,
)
"""What is written on them."""

KERNELS = {1: "gray", 3: "blue", 5: "teal", 7: "orange"}
"""The colour of an op by its kernel size; ``plum`` stands for all others."""


def light(name: str) -> str:
    """A colour in light surroundings."""
    return COLORS[name][LIGHT]


def kernel_color(kernel: int | None) -> str:
    """The name of the colour of an op with this kernel size."""
    return "gray" if kernel is None else KERNELS.get(kernel, "plum")
