"""Letters and digits as on worn signs, in ImageNet's format.

They are warped, cluttered, partly covered and badly lit.

train/CLASS/00000000.png    a folder per class
val/00000000.png            flat, with val_list.txt: 'val/00000000.png 7' lines
labels.txt                  class names, one per line
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from tinyint.extras.synthetic.drawing import (
    Canvas,
    Mask,
    Plane,
    as_mask,
    blend,
    colour,
    grating,
    photograph,
    textured,
    warped,
)
from tinyint.extras.synthetic.family import Family, Split, generator, write_lines

__all__ = ["CHARACTERS", "Glyphs", "draw_glyph"]

CHARACTERS = string.digits + string.ascii_uppercase

_SIDE = 96  # of the picture in which a letter is drawn, in pixels
_FONT_SIZE = 64
_THINNEST, _BOLDEST = -1, 4  # extra width of a stroke on each side, in pixels of that picture
_CELLS = 4
# Difference in brightness between a glyph and its background, beyond the background's own variation.
_FAINTEST, _PLAINEST = 0.3, 0.7


@dataclass(frozen=True)
class Glyphs(Family):
    """36 classes, RGB."""

    name: ClassVar[str] = "glyphs"
    title: ClassVar[str] = "digits and capital letters, warped and cluttered, as ImageNet's folders"
    task: ClassVar[str] = "classification"
    counts: ClassVar[tuple[int, int]] = (20_000, 4_000)
    least_size: ClassVar[int] = 32
    classes: ClassVar[tuple[str, ...]] = tuple(CHARACTERS)

    size: int = 64

    def prepare(self, root: Path) -> None:
        for character in CHARACTERS:
            (root / "train" / character).mkdir(parents=True)
        (root / "val").mkdir()
        write_lines(root / "labels.txt", self.classes)

    def write_sample(self, root: Path, seed: int, split: Split, index: int) -> str:
        rng = generator(seed, split, index)
        label = index % len(CHARACTERS)  # any 36 in a row cover all classes
        folder = f"train/{CHARACTERS[label]}" if split == "train" else "val"
        path = f"{folder}/{index:08}.png"
        draw_glyph(rng, label, self.size).save(root / path, compress_level=1)
        return f"{path} {label}"

    def write_list(self, root: Path, split: Split, samples: Sequence[str]) -> None:
        if split == "val":  # the folders name the training images
            write_lines(root / "val_list.txt", samples)


def draw_glyph(rng: np.random.Generator, label: int, size: int = 64) -> Image.Image:
    """RGB image of size × size with the glyph `CHARACTERS[label]`."""
    canvas = textured(rng, size, size)
    for _ in range(rng.integers(0, 3)):  # neighbours, cut off by the edge of the picture
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 0.8)
        place = (distance * np.cos(angle), distance * np.sin(angle))
        canvas = blend(
            canvas, _warped_glyph(rng, int(rng.integers(len(CHARACTERS))), size, place), colour(rng)
        )
    canvas = _lines(rng, canvas, count=int(rng.integers(0, 4)))
    glyph = _warped_glyph(rng, label, size, tuple(rng.uniform(-0.09, 0.09, 2)))
    canvas = blend(canvas, glyph * np.float32(rng.uniform(0.85, 1)), _paint(rng, canvas, glyph))
    canvas = _lines(rng, canvas, count=int(rng.integers(0, 2)))
    return photograph(rng, canvas, blur=size / 50, noise=0.07)


@cache
def _letter(label: int, weight: int) -> Image.Image:
    """Character in white on black, with strokes that are `weight` bolder than the font's."""
    image = Image.new("L", (_SIDE, _SIDE))
    draw = ImageDraw.Draw(image)
    middle = (_SIDE / 2, _SIDE / 2)
    character = CHARACTERS[label]
    font = ImageFont.load_default(_FONT_SIZE)
    draw.text(middle, character, 255, font, anchor="mm", stroke_width=max(weight, 0))
    if character == "0":  # a stroke as in fonts for code, to tell it from a narrow O
        draw.line((_SIDE * 0.44, _SIDE * 0.6, _SIDE * 0.56, _SIDE * 0.4), 255, 5 + weight)
    return image.filter(ImageFilter.MinFilter(3)) if weight < 0 else image


def _styled(rng: np.random.Generator, label: int) -> Image.Image:
    """Character in one of three styles: filled, outlined or hatched."""
    weight, style = int(rng.integers(_THINNEST, _BOLDEST + 1)), rng.random()
    if style < 0.8:
        return _letter(label, weight)
    if style < 0.9:
        return ImageChops.subtract(_letter(label, max(weight, 2)), _letter(label, _THINNEST))
    hatching = Image.fromarray((grating(rng, _SIDE, _SIDE, rng.uniform(6, 12)) * 255).astype(np.uint8))
    return ImageChops.multiply(_letter(label, max(weight, 1)), hatching)


def _warped_glyph(rng: np.random.Generator, label: int, size: int, place: tuple[float, ...]) -> Mask:
    """Mask of a character: rotated, slanted, stretched, in perspective and bent.

    `place`: offset from the middle, relative to the side.
    """
    angle, slant = rng.normal(0, 0.15), rng.normal(0, 0.2)
    scale, stretch = rng.uniform(1.0, 1.6), np.exp(rng.normal(0, 0.12))
    tilt_x, tilt_y = rng.normal(0, 0.12, 2)
    bend, waves, phase = rng.normal(0, 0.035), rng.uniform(2, 6), rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)

    def source(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        u, v = x / size - 0.5 - place[0], y / size - 0.5 - place[1]
        u, v = (cos * u + sin * v) / scale, (cos * v - sin * u) / scale
        depth = np.clip(1 + tilt_x * u + tilt_y * v, 0.4, 2.5)
        u, v = u / depth / stretch, v / depth * stretch
        u = u + slant * v + bend * np.sin(waves * v + phase)
        v = v + bend * np.cos(waves * u + phase)
        return (u + 0.5) * _SIDE, (v + 0.5) * _SIDE

    return warped(_styled(rng, label), (size, size), source, _CELLS)


def _paint(rng: np.random.Generator, canvas: Canvas, glyph: Mask) -> Canvas:
    """Slightly uneven colour for the glyph, brighter or darker than its background."""
    brightness, weights = canvas.mean(axis=2), glyph / max(float(glyph.sum()), 1.0)
    background = float((weights * brightness).sum())
    uneven = float(np.sqrt((weights * (brightness - background) ** 2).sum()))
    contrast = uneven + _FAINTEST + (_PLAINEST - _FAINTEST) * rng.random() ** 2
    brighter = background + contrast <= 1 and (background - contrast < 0 or rng.random() < 0.5)
    paint = colour(rng)
    paint = paint + np.float32(background + (contrast if brighter else -contrast) - float(paint.mean()))
    return np.clip(paint + 0.25 * (textured(rng, *glyph.shape) - 0.5), 0, 1)


def _lines(rng: np.random.Generator, canvas: Canvas, count: int) -> Canvas:
    """Canvas with straight and curved scratches."""
    size = canvas.shape[0]
    for _ in range(count):
        image = Image.new("L", (size, size))
        draw = ImageDraw.Draw(image)
        x0, y0, x1, y1 = rng.uniform(-0.2, 1.2, 4) * size
        width = int(rng.integers(1, max(2, size // 18)))
        if rng.random() < 0.5:
            draw.line((x0, y0, x1, y1), 255, width)
        else:
            start = rng.uniform(0, 360)
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            draw.arc(box, start, start + rng.uniform(60, 300), 255, width)
        canvas = blend(canvas, as_mask(image), colour(rng))
    return canvas
