"""The likeliest classes of an image, with bars."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from tinyint.pictures.canvas import INK, PAPER, Colour, canvas, colour_of, font, width_of

__all__ = ["draw_bars"]

_RAIL: Colour = (226, 226, 226)


def draw_bars(image: Image.Image, entries: Sequence[tuple[int, str, float]]) -> Image.Image:
    """The image, and below it a line for each (class, name, probability): name, bar and percentage."""
    made = canvas(image)
    text = made.text
    pad = text // 2
    figure = "100.0%"
    draw = ImageDraw.Draw(made.image)
    figures = width_of(draw, figure, text)
    names = min(max((width_of(draw, name, text) for _, name, _ in entries), default=0), made.image.width // 2)
    line = text + pad
    result = Image.new("RGB", (made.image.width, made.image.height + pad + line * len(entries)), PAPER)
    result.paste(made.image)
    draw = ImageDraw.Draw(result)
    left, right = names + 2 * pad, made.image.width - figures - 2 * pad
    for i, (number, name, probability) in enumerate(entries):
        middle = made.image.height + pad + line * i + text / 2
        draw.text((pad, middle), _shortened(draw, name, text, names), fill=INK, font=font(text), anchor="lm")
        top, bottom = middle - text * 0.35, middle + text * 0.35
        draw.rectangle((left, top, right, bottom), fill=_RAIL)
        end = left + (right - left) * probability
        if end >= left + 1:
            draw.rectangle((left, top, end, bottom), fill=colour_of(number))
        draw.text(
            (made.image.width - pad, middle), f"{probability:.1%}", fill=INK, font=font(text), anchor="rm"
        )
    return result


def _shortened(draw: ImageDraw.ImageDraw, name: str, text: int, room: int) -> str:
    """The name, or as much of it as there is room for."""
    if width_of(draw, name, text) <= room:
        return name
    while name and width_of(draw, name + "…", text) > room:
        name = name[:-1]
    return name + "…"
