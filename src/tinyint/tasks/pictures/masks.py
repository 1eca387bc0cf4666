"""Drawing of pixel classes, as a tinted image or as class numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tinyint.numbers.numerics import Array
from tinyint.tasks.pictures.canvas import INK, PAPER, canvas, colour_of, font, shortened, width_of
from tinyint.tasks.task import Task

__all__ = ["draw_mask", "mask_image", "resized"]

_OPACITY = 0.5
_COLOURS = 256


def resized(mask: Array, size: tuple[int, int]) -> Array:
    """Class numbers (H, W) at another size, given as (width, height)."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))


def mask_image(mask: Array) -> Image.Image:
    """8-bit image (mode P) of class numbers (H, W), with class colours."""
    image = Image.fromarray(mask.astype(np.uint8), "L")
    image.putpalette([part for number in range(_COLOURS) for part in colour_of(number)])
    return image


def draw_mask(image: Image.Image, mask: Array, info: Task, classes: int) -> Image.Image:
    """Image tinted by `mask` (H, W), with class borders and a legend.

    The background is not tinted: a class of that name, and the first of two classes.
    """
    sheet = canvas(image)
    enlarged = resized(mask, sheet.image.size)
    colours = np.array([colour_of(number) for number in range(_COLOURS)], np.float32)
    plain = [n for n in range(classes) if info.name_of(n) == "background" or (n == 0 and classes == 2)]
    pixels = np.asarray(sheet.image, np.float32)
    opacity = np.where(np.isin(enlarged, plain), 0.0, _OPACITY)[..., None]
    tinted = pixels * (1 - opacity) + colours[enlarged] * opacity
    tinted[_border(enlarged)] = PAPER
    shares = np.bincount(mask.reshape(-1), minlength=classes) / mask.size
    entries = [
        (n, info.name_of(n), f" {share:.1%}")
        for n, share in sorted(enumerate(shares), key=lambda entry: -entry[1])
        if share > 0
    ]
    return _with_legend(Image.fromarray(tinted.astype(np.uint8)), entries, plain, sheet.text)


def _border(mask: Array) -> Array:
    """Pixels whose right or lower neighbour is of another class."""
    border = np.zeros(mask.shape, bool)
    border[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    border[:-1] |= mask[:-1] != mask[1:]
    return border


def _with_legend(
    image: Image.Image, entries: Sequence[tuple[int, str, str]], plain: Sequence[int], text: int
) -> Image.Image:
    """Image with a legend below: a coloured square and a text per class."""
    pad = text // 2
    draw = ImageDraw.Draw(image)
    labels, positions, x, y = list[str](), [], pad, pad
    for _, name, share in entries:
        room = image.width - 2 * pad - 3 * text // 2 - width_of(draw, share, text)
        labels.append(shortened(draw, name, text, room) + share)
        width = 3 * text // 2 + width_of(draw, labels[-1], text)
        if x > pad and x + width + pad > image.width:
            x, y = pad, y + text + pad
        positions.append((x, y))
        x += width + 2 * pad
    result = Image.new("RGB", (image.width, image.height + y + text + pad), PAPER)
    result.paste(image)
    draw = ImageDraw.Draw(result)
    for (number, *_), label, (x, y) in zip(entries, labels, positions, strict=True):
        top = image.height + y
        fill = PAPER if number in plain else colour_of(number)
        draw.rectangle((x, top, x + text, top + text), fill=fill, outline=INK)
        draw.text((x + 3 * text // 2, top + text / 2), label, fill=INK, font=font(text), anchor="lm")
    return result
