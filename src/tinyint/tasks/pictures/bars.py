"""The likeliest classes of an image, with bars."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from tinyint.tasks.pictures.canvas import INK, PAPER, Colour, canvas, colour_of, font, shortened, width_of

__all__ = ["draw_bars"]

_RAIL: Colour = (226, 226, 226)
_NARROWEST = 18  # heights of a letter that name, bar and percentage need


def draw_bars(image: Image.Image, entries: Sequence[tuple[int, str, float]]) -> Image.Image:
    """Image with a bar below for each (class, name, probability).

    A line each: name, bar and percentage.

    It is as wide as the lines need, at least.
    """
    made = canvas(image)
    text = made.text
    pad = text // 2
    figure = "100.0%"
    draw = ImageDraw.Draw(made.image)
    figures = width_of(draw, figure, text)
    width = max(made.image.width, _NARROWEST * text)
    shown = [shortened(draw, name, text, width // 2) for _, name, _ in entries]
    names = max((width_of(draw, name, text) for name in shown), default=0)
    line = text + pad
    result = Image.new("RGB", (width, made.image.height + pad + line * len(entries)), PAPER)
    result.paste(made.image)
    draw = ImageDraw.Draw(result)
    left, right = names + 2 * pad, width - figures - 2 * pad
    for i, (name, (number, _, probability)) in enumerate(zip(shown, entries, strict=True)):
        middle = made.image.height + pad + line * i + text / 2
        draw.text((pad, middle), name, fill=INK, font=font(text), anchor="lm")
        top, bottom = middle - text * 0.35, middle + text * 0.35
        draw.rectangle((left, top, right, bottom), fill=_RAIL)
        end = left + (right - left) * probability
        if end >= left + 1:
            draw.rectangle((left, top, end, bottom), fill=colour_of(number))
        draw.text((width - pad, middle), f"{probability:.1%}", fill=INK, font=font(text), anchor="rm")
    return result
