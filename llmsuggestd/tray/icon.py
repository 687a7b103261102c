"""Draws the icon for each state of the daemon.

The icon is a turnstile, ⊢, on a rounded plate. The states differ in colour and in shape: the plate
is filled if a model is loaded or should be, and the turnstile's arm becomes dots during a task, and
a cross after a failure.

The shapes are defined once, on a grid of 16 units, so that they are aligned to pixels at 16 px.
Pillow draws the tray's icons from them, and `python -m llmsuggestd.tray.icon packaging/icons`
writes them as SVG for other uses.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from llmsuggestd.tray.view import Mark

GRID: Final = 16
"""Edge length of the drawing, in units."""

SIZE: Final = 64
"""Edge length of the bitmap, in pixels. The desktop scales it to the panel's height."""

_OVERSAMPLING: Final = 4
"""Factor of oversampling: Pillow does not anti-alias, so a larger drawing is scaled down."""


class Look(NamedTuple):
    """The appearance of a state."""

    colour: str
    """Colour of the plate, visible on light and dark panels, and under white."""
    filled: bool
    arm: str
    """The shape to the right of the turnstile's bar: a `stroke`, a `dot`, `dots` or a `cross`."""


LOOKS: Final[dict[Mark, Look]] = {
    "stopped": Look("#7d8590", filled=False, arm="stroke"),
    "loading": Look("#b7791f", filled=False, arm="dots"),
    "ready": Look("#2f8f5b", filled=True, arm="stroke"),
    "busy": Look("#3b7dd8", filled=True, arm="dots"),
    "idle": Look("#339b63", filled=False, arm="dot"),
    "failed": Look("#d6453d", filled=True, arm="cross"),
}

# In units of the drawing. The plate fills it, with rounded corners; an unfilled plate is a rim.
_RADIUS: Final = 4.0
_RIM: Final = 1.5
_BAR: Final = (4.0, 4.0, 6.0, 12.0)
_STROKE: Final = (6.0, 7.0, 12.0, 9.0)
_DOT: Final = (9.0, 7.0, 11.0, 9.0)
_DOTS: Final = ((8.0, 7.0, 10.0, 9.0), (11.0, 7.0, 13.0, 9.0))
_CROSS: Final = ((8.0, 6.0, 12.0, 10.0), (8.0, 10.0, 12.0, 6.0))
_CROSS_WIDTH: Final = 2.0


def draw(state: Mark, size: int = SIZE) -> Image.Image:
    """The icon of a state, `size` pixels square, on a transparent background."""
    look = LOOKS[state]
    edge = size * _OVERSAMPLING
    unit = edge / GRID
    image = Image.new("RGBA", (edge, edge))
    pen = ImageDraw.Draw(image)
    plate = (0, 0, edge - 1, edge - 1)
    if look.filled:
        pen.rounded_rectangle(plate, _RADIUS * unit, fill=look.colour)
    else:
        pen.rounded_rectangle(plate, _RADIUS * unit, outline=look.colour, width=round(_RIM * unit))
    ink = _ink(look)
    for box in _boxes(look):
        left, top, right, bottom = (length * unit for length in box)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=ink)
    for line in _lines(look):
        pen.line([length * unit for length in line], fill=ink, width=round(_CROSS_WIDTH * unit))
    return image.resize((size, size), Image.Resampling.LANCZOS)


def svg(state: Mark) -> str:
    """The icon of a state, as an SVG document."""
    look = LOOKS[state]
    if look.filled:
        plate = f'<rect width="{GRID}" height="{GRID}" rx="{_RADIUS:g}" fill="{look.colour}"/>'
    else:
        inset, edge = _RIM / 2, GRID - _RIM
        plate = (
            f'<rect x="{inset:g}" y="{inset:g}" width="{edge:g}" height="{edge:g}" '
            f'rx="{_RADIUS - inset:g}" fill="none" stroke="{look.colour}" '
            f'stroke-width="{_RIM:g}"/>'
        )
    ink = _ink(look)
    shapes = [
        f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}" '
        f'fill="{ink}"/>'
        for left, top, right, bottom in _boxes(look)
    ] + [
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{ink}" '
        f'stroke-width="{_CROSS_WIDTH:g}"/>'
        for x1, y1, x2, y2 in _lines(look)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" '
            f'viewBox="0 0 {GRID} {GRID}">',
            f"  <title>llmsuggestd: {state}</title>",
            *(f"  {shape}" for shape in [plate, *shapes]),
            "</svg>\n",
        ]
    )


def write_svgs(folder: Path) -> None:
    """Write the SVG of each state into a folder. The ready icon is also the program's."""
    for state in LOOKS:
        (folder / f"llmsuggestd-{state}.svg").write_text(svg(state), encoding="utf-8")
    (folder / "llmsuggestd.svg").write_text(svg("ready"), encoding="utf-8")


def _ink(look: Look) -> str:
    return "#ffffff" if look.filled else look.colour


def _boxes(look: Look) -> list[tuple[float, float, float, float]]:
    arms = {"stroke": [_STROKE], "dot": [_DOT], "dots": list(_DOTS), "cross": []}
    return [_BAR, *arms[look.arm]]


def _lines(look: Look) -> list[tuple[float, float, float, float]]:
    return list(_CROSS) if look.arm == "cross" else []


if __name__ == "__main__":
    write_svgs(Path(sys.argv[1]))
