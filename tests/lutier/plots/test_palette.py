"""What is written can be read, in light and in dark."""

from __future__ import annotations

import pytest

from lutier.plots.palette import COLORS, HEAT, HEAT_TEXT


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(
        weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("which", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "raised"])
@pytest.mark.parametrize("ink", ["text", "muted", "link", "good", "bad", "warn"])
def test_text_stands_out_by_4_5_to_1(ink: str, ground: str, which: int) -> None:
    assert contrast(COLORS[ink][which], COLORS[ground][which]) >= 4.5


@pytest.mark.parametrize("which", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("step", range(len(HEAT)))
def test_figures_on_heat_stand_out_by_4_5_to_1(step: int, which: int) -> None:
    assert contrast(HEAT[step][which], HEAT_TEXT[step][which]) >= 4.5


@pytest.mark.parametrize("which", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("series", ["blue", "orange", "teal", "plum", "gray"])
def test_series_stand_out_by_3_to_1(series: str, which: int) -> None:
    assert contrast(COLORS[series][which], COLORS["page"][which]) >= 3


def test_each_light_colour_has_one_dark_one() -> None:
    pairs = [*COLORS.values(), *HEAT]
    lights = [light for light, _ in pairs]
    assert len(set(lights)) == len(lights)
