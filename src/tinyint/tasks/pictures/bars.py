"""Drawing of the most likely classes of an image as bars."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from tinyint.tasks.pictures.canvas import INK, PAPER, Colour, canvas, colour_of, font, shortened, width_of

__all__ = ["draw_bars"]

_RAIL: Colour = (226, 226, 226)
_NARROWEST = 18  # width for name, bar and percentage, in heights of a letter


def draw_bars(image: Image.Image, entries: Sequence[tuple[int, str, float]]) -> Image.Image:
    """Image with a line below for each (class, name, probability): name, bar, percentage.

    A narrow image is widened, so that the lines fit.
    """
    sheet = canvas(image)
    text = sheet.text
    pad = text // 2
    figure = "100.0%"
    draw = ImageDraw.Draw(sheet.image)
    figures = width_of(draw, figure, text)
    width = max(sheet.image.width, _NARROWEST * text)
    labels = [shortened(draw, name, text, width // 2) for _, name, _ in entries]
    names = max((width_of(draw, name, text) for name in labels), default=0)
    line = text + pad
    result = Image.new("RGB", (width, sheet.image.height + pad + line * len(entries)), PAPER)
    result.paste(sheet.image)
    draw = ImageDraw.Draw(result)
    left, right = names + 2 * pad, width - figures - 2 * pad
    for i, (name, (number, _, probability)) in enumerate(zip(labels, entries, strict=True)):
        middle = sheet.image.height + pad + line * i + text / 2
        draw.text((pad, middle), name, fill=INK, font=font(text), anchor="lm")
        top, bottom = middle - text * 0.35, middle + text * 0.35
        draw.rectangle((left, top, right, bottom), fill=_RAIL)
        end = left + (right - left) * probability
        if end >= left + 1:
            draw.rectangle((left, top, end, bottom), fill=colour_of(number))
        draw.text((width - pad, middle), f"{probability:.1%}", fill=INK, font=font(text), anchor="rm")
    return result
