"""Retina photographs: disc, cup, vessels, lesions, in PaddleSeg's optic disc format.

JPEGImages/train_00000000.jpg
Annotations/train_00000000.png      mode P: a pixel is the id of its class
train_list.txt, val_list.txt        'JPEGImages/x.jpg Annotations/x.png' lines
labels.txt                          class names, one per line
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tinyint.extras.synthetic.drawing import Canvas, Mask, as_mask, blend, clouds, photograph
from tinyint.extras.synthetic.family import Family, Split, generator, write_lines

__all__ = ["CLASSES", "Fundus", "draw_fundus"]

CLASSES = ("background", "disc", "cup", "vessel")
_BACKGROUND, _DISC, _CUP, _VESSEL = range(4)
_PALETTE = (0, 0, 0, 230, 190, 60, 250, 240, 200, 170, 20, 40)
_FINE = 2  # pixels of the drawing to a pixel of the picture, along each side
_LEAST_WIDTH = 0.9  # of a vessel, in pixels of the picture: thinner ones are not drawn
_QUALITY = 90  # of the JPEG files

_RGB = NDArray[np.float32]


@dataclass(frozen=True)
class Fundus(Family):
    """4 classes: background, disc, cup, vessel. Images are size × size."""

    name: ClassVar[str] = "fundus"
    title: ClassVar[str] = "the back of an eye: disc, cup, vessels, as PaddleSeg's optic disc data"
    task: ClassVar[str] = "segmentation"
    counts: ClassVar[tuple[int, int]] = (2_000, 500)
    least_size: ClassVar[int] = 64
    classes: ClassVar[tuple[str, ...]] = CLASSES

    size: int = 256

    def prepare(self, root: Path) -> None:
        (root / "JPEGImages").mkdir()
        (root / "Annotations").mkdir()
        write_lines(root / "labels.txt", CLASSES)

    def write_sample(self, root: Path, seed: int, split: Split, index: int) -> str:
        image, labels = draw_fundus(generator(seed, split, index), self.size)
        paths = f"JPEGImages/{split}_{index:08}.jpg", f"Annotations/{split}_{index:08}.png"
        image.save(root / paths[0], quality=_QUALITY)
        annotation = Image.fromarray(labels)
        annotation.putpalette(_PALETTE)
        annotation.save(root / paths[1])
        return " ".join(paths)

    def write_list(self, root: Path, split: Split, samples: Sequence[str]) -> None:
        write_lines(root / f"{split}_list.txt", samples)


def draw_fundus(rng: np.random.Generator, size: int = 256) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Photograph of size × size, and the class of each pixel."""
    side = int(rng.choice((-1, 1)))  # of the nose: a left or a right eye
    disc_x = 0.5 + side * rng.uniform(0.12, 0.3)
    disc_y = rng.uniform(0.4, 0.6)
    radius = rng.uniform(0.06, 0.095)

    canvas = _retina(rng, size, fovea=(disc_x - side * rng.uniform(0.28, 0.36), disc_y + 0.04))
    canvas = _lesions(rng, canvas)
    disc = _ellipse(rng, size, disc_x, disc_y, radius)
    cup = disc * _ellipse(rng, size, disc_x, disc_y, radius * rng.uniform(0.35, 0.65))
    pale = np.array([0.95, 0.8, 0.5], np.float32) * np.float32(rng.uniform(0.75, 1.0))
    canvas = blend(canvas, _soft(disc, rng.uniform(0.3, 2.5)) * np.float32(rng.uniform(0.45, 0.9)), pale)
    canvas = blend(
        canvas, _soft(cup, rng.uniform(0.3, 1.5)) * np.float32(rng.uniform(0.35, 0.9)), pale + 0.12
    )
    vessels = _vessels(rng, size, disc_x, disc_y, radius, side)
    dark = np.array([0.4, 0.06, 0.05], np.float32) * np.float32(rng.uniform(0.6, 1.3))
    canvas = blend(canvas, _soft(vessels, 0.4) * np.float32(rng.uniform(0.35, 0.85)), dark)

    aperture = _aperture(rng, size)
    image = photograph(rng, canvas * _soft(aperture, 0.8)[..., None], blur=1.2, noise=0.06)
    labels = np.full((size, size), _BACKGROUND, np.uint8)
    for mask, label in ((disc, _DISC), (cup, _CUP), (vessels, _VESSEL)):
        labels[(mask > 0.5) & (aperture > 0.5)] = label
    return image, labels


def _retina(rng: np.random.Generator, size: int, fovea: tuple[float, float]) -> Canvas:
    """Uneven red to orange background, darker around the fovea and towards the rim."""
    red = rng.uniform(0.55, 0.9)
    base = np.array([red, red * rng.uniform(0.35, 0.6), red * rng.uniform(0.12, 0.35)], np.float32)
    mottled = 0.5 * clouds(rng, size, size, 6) + 0.5 * clouds(rng, size, size, 30)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    dimmed = 1 - rng.uniform(0.2, 0.5) * np.exp(-((x - fovea[0]) ** 2 + (y - fovea[1]) ** 2) / 0.07**2)
    dimmed *= 1 - rng.uniform(0.2, 0.9) * (
        (x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2
    )
    shade = dimmed * (1 + rng.uniform(0.1, 0.5) * (mottled - 0.5))
    return np.asarray(base * shade[..., None], dtype=np.float32)


def _lesions(rng: np.random.Generator, canvas: Canvas) -> Canvas:
    """Canvas with bright exudates and reflexes, and dark bleedings.

    Some exudates are as large as a disc, and some bleedings as long as a vessel.
    """
    size = canvas.shape[0]
    bright, dark = np.array([0.95, 0.85, 0.55], np.float32), np.array([0.4, 0.06, 0.06], np.float32)
    for _ in range(rng.poisson(3)):
        radius = 0.008 * np.exp(rng.exponential(0.9))
        spot = _ellipse(rng, size, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), min(radius, 0.09))
        ragged = spot * (clouds(rng, size, size, 40) > rng.uniform(0, 0.5))
        canvas = blend(canvas, _soft(ragged, rng.uniform(0.5, 2)) * np.float32(rng.uniform(0.3, 0.9)), bright)
    for _ in range(rng.poisson(3)):
        x, y = rng.uniform(0.1, 0.9, 2)
        spot = _ellipse(rng, size, x, y, rng.uniform(0.006, 0.04), longest=3)
        canvas = blend(canvas, _soft(spot, rng.uniform(0.4, 2)) * np.float32(rng.uniform(0.3, 0.9)), dark)
    return canvas


def _ellipse(
    rng: np.random.Generator, size: int, x: float, y: float, radius: float, longest: float = 1.3
) -> Mask:
    """Mask of a slightly dented ellipse in a random direction; lengths relative to the side."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    stretch, turn = np.sqrt(rng.uniform(1, longest)), rng.uniform(0, np.pi)
    dents = 1 + rng.uniform(0, 0.08) * np.sin(rng.integers(2, 5) * angles + rng.uniform(0, 2 * np.pi))
    u, v = radius * dents * stretch * np.cos(angles), radius * dents / stretch * np.sin(angles)
    points_x = (x + u * np.cos(turn) - v * np.sin(turn)) * size * _FINE
    points_y = (y + u * np.sin(turn) + v * np.cos(turn)) * size * _FINE
    fine = Image.new("L", (size * _FINE, size * _FINE))
    ImageDraw.Draw(fine).polygon(list(zip(points_x.tolist(), points_y.tolist(), strict=True)), fill=255)
    return as_mask(fine.reduce(_FINE))


def _vessels(
    rng: np.random.Generator, size: int, disc_x: float, disc_y: float, radius: float, side: int
) -> Mask:
    """Mask of the vessels: arcades above and below the disc, which branch and taper.

    Those on the fovea's side bend around it.
    """
    fine = Image.new("L", (size * _FINE, size * _FINE))
    draw = ImageDraw.Draw(fine)
    for direction in (-1, 1):
        for outward, bend in ((-side, 0.055), (side, 0.02)):
            for _ in range(rng.integers(1, 3)):
                start = (disc_x + rng.normal(0, radius / 4), disc_y + rng.normal(0, radius / 4))
                angle = np.arctan2(direction * rng.uniform(0.8, 2.0), outward)
                bent = -direction * outward * bend * rng.uniform(0.5, 1.2)
                for x0, y0, x1, y1, width in _branches(rng, *start, angle, bent, rng.uniform(0.013, 0.022)):
                    if width * size >= _LEAST_WIDTH:
                        scale = size * _FINE
                        ends = (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
                        draw.line(ends, 255, max(1, round(width * scale)))
    return as_mask(fine.reduce(_FINE))


def _branches(
    rng: np.random.Generator, x: float, y: float, angle: float, bend: float, width: float
) -> Iterator[tuple[float, float, float, float, float]]:
    """Segments (x0, y0, x1, y1, width) of a vessel with its branches, relative to the side."""
    step = 0.018
    while width > 0.003 and 0 < x < 1 and 0 < y < 1:
        angle += bend + rng.normal(0, 0.1)
        end_x, end_y = x + step * np.cos(angle), y + step * np.sin(angle)
        yield x, y, end_x, end_y, width
        x, y, width = end_x, end_y, width * 0.975
        if rng.random() < 0.1:
            turn = rng.choice((-1, 1)) * rng.uniform(0.4, 1.0)
            yield from _branches(rng, x, y, angle + turn, rng.normal(0, 0.03), width * rng.uniform(0.5, 0.75))


def _aperture(rng: np.random.Generator, size: int) -> Mask:
    """Mask of the camera's round field, sometimes cut off above and below."""
    radius = rng.uniform(0.44, 0.56)
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5 - rng.normal(0, 0.015, (2, 1, 1))
    cut = rng.uniform(0.38, 0.6)
    return np.asarray((np.hypot(x, y) < radius) & (np.abs(y) < cut), dtype=np.float32)


def _soft(mask: Mask, radius: float) -> Mask:
    image = Image.fromarray((mask * 255).astype(np.uint8))
    return as_mask(image.filter(ImageFilter.GaussianBlur(radius)))
