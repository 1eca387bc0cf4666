"""Textures, warped shapes and camera faults on float32 canvases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

__all__ = [
    "Canvas",
    "Mask",
    "Plane",
    "as_mask",
    "blend",
    "clouds",
    "colour",
    "grating",
    "photograph",
    "textured",
    "warped",
]

Canvas = NDArray[np.float32]
"""(height, width, 3), 0 to 1."""
Mask = NDArray[np.float32]
"""(height, width), 0 to 1: covered share of each pixel."""
Plane = NDArray[np.float64]


def clouds(rng: np.random.Generator, height: int, width: int, cells: int) -> Mask:
    """Smooth, about uniform noise from 0 to 1, from `cells` random values per side."""
    coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
    fine: Mask = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(fine, np.float32(0), np.float32(1))


def grating(rng: np.random.Generator, height: int, width: int, period: float) -> Mask:
    """Sinusoid in a random direction, 0 to 1; `period` in pixels."""
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    x, y = np.arange(width), np.arange(height)[:, None]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period) + phase)
    return np.asarray((1 + wave) / 2, dtype=np.float32)


def colour(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.uniform(0.05, 0.95, 3).astype(np.float32)


def textured(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """Canvas of two colours, mixed by clouds or by clouds and a grating."""
    mix = clouds(rng, height, width, int(rng.integers(2, 13)))
    if rng.random() < 0.4:
        mix = (mix + grating(rng, height, width, rng.uniform(4, width / 3))) * np.float32(0.5)
    first, second = colour(rng), colour(rng)
    mix = mix * np.float32(rng.uniform(0.25, 0.9))
    return first + mix[..., None] * (second - first)


def blend(canvas: Canvas, mask: Mask, paint: NDArray[np.float32]) -> Canvas:
    """Canvas with `paint`, a colour or another canvas, over it where the mask is."""
    return canvas + mask[..., None] * (paint - canvas)


def warped(
    shape: Image.Image,
    size: tuple[int, int],
    source: Callable[[Plane, Plane], tuple[Plane, Plane]],
    cells: int,
) -> Mask:
    """Mask of `size` (height, width): a warped picture in mode L.

    `source` maps points (x, y) of the mask to points of the picture. It is evaluated at the corners of a grid of cells
    × cells, and is bilinear in between.
    """
    height, width = size
    xs, ys = (np.linspace(0, side, cells + 1).round() for side in (width, height))
    points = np.stack(source(*np.meshgrid(xs, ys)), axis=-1).tolist()
    columns, rows = xs.astype(int).tolist(), ys.astype(int).tolist()
    mesh = [
        (
            (columns[j], rows[i], columns[j + 1], rows[i + 1]),
            (*points[i][j], *points[i + 1][j], *points[i + 1][j + 1], *points[i][j + 1]),
        )
        for i in range(cells)
        for j in range(cells)
    ]
    image = shape.transform((width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return as_mask(image)


def as_mask(image: Image.Image) -> Mask:
    """Mask of a picture in mode L."""
    return np.asarray(image).astype(np.float32) / np.float32(255)


def photograph(rng: np.random.Generator, canvas: Canvas, *, blur: float, noise: float) -> Image.Image:
    """Photograph of a canvas, with uneven light, blur and noise.

    `blur`: largest radius, in pixels; `noise`: largest standard deviation, of 1.
    """
    height, width, _ = canvas.shape
    slope_y, slope_x = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    light = 1 + slope_y * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = light + slope_x * np.linspace(-1, 1, width, dtype=np.float32)
    lit = np.clip(canvas * light[..., None], 0, 1) * 255
    image = Image.fromarray(lit.astype(np.uint8)).filter(ImageFilter.GaussianBlur(rng.uniform(0, blur)))
    grain = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(255 * rng.uniform(0, noise))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
