"""Parts that all pictures share: size, letters and class colours."""

from __future__ import annotations

import colorsys
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

__all__ = [
    "INK",
    "PAPER",
    "Canvas",
    "Colour",
    "canvas",
    "colour_of",
    "font",
    "ink_on",
    "shortened",
    "width_of",
]

Colour: TypeAlias = tuple[int, int, int]
INK: Colour = (34, 34, 34)
PAPER: Colour = (250, 250, 250)

_LEGIBLE = 480  # pixels of the longer side; a smaller image is enlarged, so that letters fit
_LONGEST = 1000  # letters of a name that are measured
_GOLDEN = 0.6180339887  # step between hues, as a part of the circle; it keeps any number of them apart
_FIRST_HUE = 0.02
_BRIGHT = 150  # luma above which letters are dark


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """RGB image to draw on.

    `scale`: its size relative to the original; `text`: height of its letters.
    """

    image: Image.Image
    scale: float
    text: int


def canvas(image: Image.Image) -> Canvas:
    longer = max(image.size)
    scale = _LEGIBLE / longer if longer < _LEGIBLE else 1.0
    size = (round(image.width * scale), round(image.height * scale))
    enlarged = (
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC) if scale > 1 else image.convert("RGB")
    )
    return Canvas(image=enlarged, scale=scale, text=max(13, round(max(size) / 45)))


def colour_of(number: int) -> Colour:
    """Colour of a class, the same in all pictures."""
    hue = (_FIRST_HUE + number * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(
        hue, 0.85 if number % 2 == 0 else 0.65, 0.95 if number % 3 else 0.85
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(background: Colour) -> Colour:
    """Colour of letters, dark or light, that can be read on this background."""
    red, green, blue = background
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT else PAPER


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def width_of(draw: ImageDraw.ImageDraw, text: str, size: int) -> int:
    return round(draw.textlength(text, font=font(size)))


def shortened(draw: ImageDraw.ImageDraw, text: str, size: int, room: float) -> str:
    """Text, cut to this width."""
    line = " ".join(text[:_LONGEST].split())
    if len(text) <= _LONGEST and width_of(draw, line, size) <= room:
        return line
    fitting = range(len(line) + 1)
    length = bisect_right(fitting, room, key=lambda n: width_of(draw, line[:n] + "…", size)) - 1
    return line[: max(0, length)] + "…"
