"""Views: rectangles of an image shown by training samples, and drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["View", "crop_view", "expanded_view", "part_view", "scaled_view"]

_TRIES = 10
_CROP_TRIES = 50


@dataclass(frozen=True)
class View:
    """From the corner (left, top); may reach beyond the image."""

    left: float
    top: float
    width: float
    height: float

    def cut(
        self,
        image: Image.Image,
        size: tuple[int, int],
        resampling: Image.Resampling,
        outside: tuple[int, ...] | int,
    ) -> Image.Image:
        """Part of the image in view, resized to `size` (width, height).

        `outside` of it one colour.
        """
        x1, x2 = max(self.left, 0.0), min(self.left + self.width, float(image.width))
        y1, y2 = max(self.top, 0.0), min(self.top + self.height, float(image.height))
        canvas = Image.new(image.mode, size, outside)
        across, down = size[0] / self.width, size[1] / self.height
        left, right = round((x1 - self.left) * across), round((x2 - self.left) * across)
        top, bottom = round((y1 - self.top) * down), round((y2 - self.top) * down)
        if right > left and bottom > top:
            seen = image.resize((right - left, bottom - top), resampling, box=(x1, y1, x2, y2))
            canvas.paste(seen, (left, top))
        return canvas

    def holds(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether points lie in the view."""
        across = (x >= self.left) & (x < self.left + self.width)
        down = (y >= self.top) & (y < self.top + self.height)
        found: NDArray[np.bool_] = across & down
        return found


def part_view(size: tuple[int, int], share: tuple[float, float], generator: np.random.Generator) -> View:
    """View of a given area share, its sides 3:4 to 4:3.

    Szegedy et al. 2014, arXiv:1409.4842, §6.

    If none is found in a few tries, the largest part in the middle with sides as those.
    """
    width, height = size
    for _ in range(_TRIES):
        area = width * height * generator.uniform(*share)
        ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if w <= width and h <= height:
            return View(generator.uniform(0, width - w), generator.uniform(0, height - h), w, h)
    w, h = min(width, height * 4 / 3), min(height, width * 4 / 3)
    return View((width - w) / 2, (height - h) / 2, w, h)


def scaled_view(
    size: tuple[int, int],
    resized: tuple[int, int],
    out: tuple[int, int],
    scale: tuple[float, float],
    generator: np.random.Generator,
) -> View:
    """View for `out` pixels in a `resized` image, times a random scale.

    The image is of `size`; all (width, height).

    Where the scaled image is smaller than `out`, it lies at a random place in the view.
    """
    factor = generator.uniform(*scale)
    corner, sides = [], []
    for side, target, wanted in zip(size, resized, out, strict=True):
        zoom = max(target * factor, 1.0) / side
        free = side - wanted / zoom
        corner.append(generator.uniform(min(free, 0.0), max(free, 0.0)))
        sides.append(wanted / zoom)
    return View(*corner, *sides)


def expanded_view(view: View, most: float, generator: np.random.Generator) -> View:
    """View with 1 to `most` times longer sides around this one.

    At a random place: objects become smaller.

    The zoom-out of SSD (Liu et al. 2016, arXiv:1512.02325, §3.6).
    """
    ratio = generator.uniform(1, most)
    width, height = math.ceil(view.width * ratio), math.ceil(view.height * ratio)
    left = view.left - math.floor(generator.uniform(0, width - view.width + 1))
    top = view.top - math.floor(generator.uniform(0, height - view.height + 1))
    return View(left, top, width, height)


def crop_view(view: View, boxes: NDArray[np.float32], generator: np.random.Generator) -> View:
    """Part of the view around an object's centre; else the view.

    It overlaps the object by a random least IoU.

    The patch sampling of SSD (Liu et al. 2016, arXiv:1512.02325, §2.2): sides of 0.3 to 1, their ratio 1:2 to 2:1.
    """
    if not len(boxes):
        return view
    least = generator.choice([0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
    x1, y1, x2, y2 = boxes.T
    for _ in range(_CROP_TRIES):
        scale, ratio = generator.uniform(0.3, 1), math.sqrt(generator.uniform(0.5, 2))
        width, height = math.floor(view.width * scale * ratio), math.floor(view.height * scale / ratio)
        if not (1 <= width <= view.width and 1 <= height <= view.height):
            continue
        left = view.left + math.floor(generator.uniform(0, view.width - width + 1))
        top = view.top + math.floor(generator.uniform(0, view.height - height + 1))
        part = View(left, top, width, height)
        across = np.clip(np.minimum(x2, left + width) - np.maximum(x1, left), 0, None)
        down = np.clip(np.minimum(y2, top + height) - np.maximum(y1, top), 0, None)
        union = (x2 - x1) * (y2 - y1) + width * height - across * down
        enough = (across * down / union).max() >= least
        if enough and part.holds((x1 + x2) / 2, (y1 + y2) / 2).any():
            return part
    return view
