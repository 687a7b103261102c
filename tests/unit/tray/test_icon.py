"""The icon: its five states differ on any panel, with or without colours."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageColor, ImageStat

from llmsuggestd.tray import icon

ICONS = Path(__file__).parents[3] / "packaging" / "icons"


def _luminance(colour: str) -> float:
    """The relative luminance, as defined by WCAG."""
    values = [value / 255 for value in ImageColor.getrgb(colour)[:3]]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("state", icon.LOOKS)
@pytest.mark.parametrize("panel", ["#ffffff", "#f0f0f0", "#2b2b2b", "#000000"])
def test_is_seen_on_light_and_on_dark_panels(state: str, panel: str) -> None:
    darker, lighter = sorted([_luminance(icon.LOOKS[state].colour), _luminance(panel)])  # type: ignore[index]
    assert (lighter + 0.05) / (darker + 0.05) >= 3  # WCAG 2.1, 1.4.11: graphical objects


@pytest.mark.parametrize(("one", "other"), list(combinations(icon.LOOKS, 2)))
def test_states_differ_at_16_pixels_without_their_colours(one: str, other: str) -> None:
    def grey(state: str) -> Image.Image:
        drawn = icon.draw(state, 16)  # type: ignore[arg-type]
        ground = Image.new("RGBA", drawn.size, "#ffffff")
        return Image.alpha_composite(ground, drawn).convert("L")

    difference = ImageStat.Stat(ImageChops.difference(grey(one), grey(other)))
    assert difference.mean[0] > 4


@pytest.mark.parametrize("size", [16, 22, 64])
def test_fills_its_square_and_leaves_the_corners_clear(size: int) -> None:
    drawn = icon.draw("ready", size)
    assert drawn.size == (size, size)
    assert drawn.getbbox() == (0, 0, size, size)
    assert drawn.getpixel((0, 0))[3] < 128  # type: ignore[index]


def test_svg_files_are_what_the_code_draws(tmp_path: Path) -> None:
    icon.write_svgs(tmp_path)
    for file in tmp_path.iterdir():
        assert (ICONS / file.name).read_text() == file.read_text(), (
            "run python -m llmsuggestd.tray.icon packaging/icons"
        )
