"""The look of the pages: one style sheet, and the colours of the palette in it."""

from __future__ import annotations

from importlib.resources import files

from lutier.plots.palette import COLORS, DARK, HEAT, HEAT_TEXT, LIGHT


def source(name: str) -> str:
    """A file beside the templates."""
    return files("lutier.report").joinpath("templates", name).read_text(encoding="utf-8")


def style_sheet() -> str:
    """The style sheet, with the colours of the palette."""
    return source("report.css").replace("/*palette*/", _palette())


def _palette() -> str:
    named = [*COLORS.items()]
    named += [(f"heat-{i}", pair) for i, pair in enumerate(HEAT)]
    named += [(f"heat-ink-{i}", pair) for i, pair in enumerate(HEAT_TEXT)]

    def colors(which: int) -> str:
        return " ".join(f"--{name}: {pair[which]};" for name, pair in named)

    light, dark = colors(LIGHT), colors(DARK)
    heat = "\n".join(
        f".h{i} {{ background: var(--heat-{i}); color: var(--heat-ink-{i}); }}"
        for i in range(len(HEAT))
    )
    return (
        f"{heat}\n"
        f":root {{ color-scheme: light; {light} }}\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        f":root:not([data-theme=light]) {{ color-scheme: dark; {dark} }}\n}}\n"
        f"@media screen {{ :root[data-theme=dark] {{ color-scheme: dark; {dark} }} }}"
    )


def heat_step(share: float) -> int:
    """The step of heat of a share from 0 to 1."""
    return min(int(share * len(HEAT)), len(HEAT) - 1)
