"""Streets seen from a car, in Cityscapes' format.

The pixels have the ids of its 34 labels, of which 19 are evaluated.

leftImg8bit/train/CITY/CITY_000000_000019_leftImg8bit.png
gtFine/train/CITY/CITY_000000_000019_gtFine_labelIds.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tinyint.extras.synthetic.drawing import Canvas, as_mask, blend, clouds, grating, photograph
from tinyint.extras.synthetic.family import Family, Split, generator

__all__ = ["CLASSES", "LABELS", "Streets", "draw_street"]

# Name → id in Cityscapes, and a typical colour.
LABELS: dict[str, tuple[int, tuple[float, float, float]]] = {
    "road": (7, (0.35, 0.34, 0.36)),
    "sidewalk": (8, (0.5, 0.46, 0.45)),
    "building": (11, (0.5, 0.42, 0.36)),
    "wall": (12, (0.45, 0.45, 0.42)),
    "fence": (13, (0.5, 0.4, 0.3)),
    "pole": (17, (0.4, 0.42, 0.42)),
    "traffic light": (19, (0.15, 0.16, 0.12)),
    "traffic sign": (20, (0.7, 0.6, 0.2)),
    "vegetation": (21, (0.22, 0.36, 0.18)),
    "terrain": (22, (0.42, 0.48, 0.25)),
    "sky": (23, (0.7, 0.78, 0.86)),
    "person": (24, (0.4, 0.25, 0.28)),
    "rider": (25, (0.45, 0.22, 0.18)),
    "car": (26, (0.3, 0.32, 0.45)),
    "truck": (27, (0.55, 0.5, 0.45)),
    "bus": (28, (0.6, 0.35, 0.2)),
    "train": (31, (0.3, 0.45, 0.5)),
    "motorcycle": (32, (0.22, 0.2, 0.3)),
    "bicycle": (33, (0.3, 0.3, 0.28)),
}
CLASSES = tuple(LABELS)
# Not evaluated.
_IGNORED = {
    "ego vehicle": (1, (0.12, 0.12, 0.13)),
    "out of roi": (3, (0.05, 0.05, 0.05)),
    "static": (4, (0.4, 0.4, 0.3)),
    "parking": (9, (0.42, 0.4, 0.42)),
    "bridge": (15, (0.5, 0.5, 0.5)),
}
_STRIPED = {"building", "fence", "train", "bus", "bridge"}
_CITIES = {"train": ("eastwick", "northam"), "val": ("southmoor",)}
# Height and width in metres of objects on the ground, and their share.
_STANDING = {
    "person": (1.75, 0.6, 0.25),
    "bicycle": (1.0, 1.5, 0.1),
    "motorcycle": (1.2, 1.6, 0.08),
    "car": (1.5, 2.2, 0.33),
    "truck": (3.0, 2.8, 0.07),
    "bus": (3.1, 3.0, 0.07),
    "train": (3.4, 3.4, 0.05),
    "static": (0.9, 0.9, 0.05),
}
_CAMERA = 1.4  # metres above the ground


@dataclass(frozen=True)
class Streets(Family):
    """19 evaluated classes; an image is `size` high and twice as wide."""

    name: ClassVar[str] = "streets"
    title: ClassVar[str] = "streets seen from a car, as Cityscapes"
    task: ClassVar[str] = "segmentation"
    counts: ClassVar[tuple[int, int]] = (2_000, 500)
    least_size: ClassVar[int] = 64
    classes: ClassVar[tuple[str, ...]] = CLASSES

    size: int = 128

    def prepare(self, root: Path) -> None:
        for kind in ("leftImg8bit", "gtFine"):
            for split, cities in _CITIES.items():
                for city in cities:
                    (root / kind / split / city).mkdir(parents=True)

    def write_sample(self, root: Path, seed: int, split: Split, index: int) -> str:
        image, labels = draw_street(generator(seed, split, index), self.size)
        city = _CITIES[split][index % len(_CITIES[split])]
        stem = f"{split}/{city}/{city}_{index:06}_000019"
        image.save(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", compress_level=1)
        Image.fromarray(labels).save(root / "gtFine" / f"{stem}_gtFine_labelIds.png")
        return stem

    def write_list(self, root: Path, split: Split, samples: Sequence[str]) -> None:
        """Writes nothing: in Cityscapes, the directories are the lists."""


@dataclass
class _Painting:
    """Canvas, and the label of each pixel, drawn together from far to near."""

    rng: np.random.Generator
    canvas: Canvas
    labels: NDArray[np.uint8]

    def fill(self, name: str, *points: tuple[float, float]) -> None:
        """Draws a polygon with this label; points (x, y) are relative to the picture's height."""
        label, typical = {**LABELS, **_IGNORED}[name]
        height, width = self.labels.shape
        image = Image.new("L", (width, height))
        ImageDraw.Draw(image).polygon([(x * height, y * height) for x, y in points], fill=255)
        mask = as_mask(image)
        texture = clouds(self.rng, height, width, int(self.rng.integers(4, 30))) - np.float32(0.5)
        if name in _STRIPED:
            texture = texture + grating(self.rng, height, width, self.rng.uniform(4, 12)) - np.float32(0.5)
        base = np.array(typical, np.float32) + self.rng.normal(0, 0.09, 3).astype(np.float32)
        paint = base + np.float32(self.rng.uniform(0.1, 0.3)) * texture[..., None]
        self.canvas = np.clip(blend(self.canvas, mask, paint), 0, 1)
        self.labels[mask > 0] = label

    def box(self, name: str, x: float, bottom: float, width: float, height: float) -> None:
        """Draws a box with chamfered upper corners; `x`: its middle."""
        left, right, top = x - width / 2, x + width / 2, bottom - height
        inset, shoulder = 0.2 * width, top + 0.35 * height
        upper = ((left, shoulder), (left + inset, top), (right - inset, top), (right, shoulder))
        self.fill(name, (left, bottom), *upper, (right, bottom))


def draw_street(rng: np.random.Generator, size: int = 128) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Street of size × 2·size pixels, and each pixel's Cityscapes id."""
    painting = _Painting(
        rng, np.zeros((size, 2 * size, 3), np.float32), np.full((size, 2 * size), 0, np.uint8)
    )
    horizon, middle = rng.uniform(0.38, 0.5), 1 + rng.normal(0, 0.15)
    painting.fill("sky", (0, 0), (2, 0), (2, 1), (0, 1))
    _sides(painting, horizon, middle)
    _ground(painting, horizon, middle)
    for distance in np.sort(rng.uniform(4, 45, rng.integers(3, 13)))[::-1]:
        _object(painting, horizon, middle, float(distance))
    if rng.random() < 0.8:
        painting.fill("ego vehicle", (0.5, 1), (0.7, 0.92), (1.3, 0.92), (1.5, 1))
    painting.labels[0], painting.labels[-1] = _IGNORED["out of roi"][0], _IGNORED["out of roi"][0]
    return photograph(rng, painting.canvas, blur=1.0, noise=0.06), painting.labels


def _sides(painting: _Painting, horizon: float, middle: float) -> None:
    """Draws houses, trees, walls and fences on both sides, smaller towards the vanishing point."""
    rng = painting.rng
    for side in (-1, 1):
        edges = np.sort(rng.uniform(0.08, 1.4, rng.integers(3, 7)))
        for near, far in zip(edges[1:], edges[:-1], strict=True):
            x0, x1 = middle + side * near, middle + side * far
            kind = rng.choice(("building", "building", "vegetation", "wall", "fence"))
            tall = rng.uniform(0.15, 0.3) if kind in ("wall", "fence") else rng.uniform(0.4, 1.3)
            top0, top1 = horizon - tall * near, horizon - tall * far
            painting.fill(str(kind), (x0, top0), (x1, top1), (x1, horizon + 0.1), (x0, horizon + 0.4 * near))
    for _ in range(rng.integers(0, 4)):
        x, radius = rng.uniform(0, 2), rng.uniform(0.05, 0.25)
        angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        reach = radius * rng.uniform(0.7, 1.2, 14)
        crown = zip(x + reach * np.cos(angles), horizon - radius / 2 + reach * np.sin(angles), strict=True)
        painting.fill("vegetation", *crown)
    if rng.random() < 0.1:
        top = horizon - rng.uniform(0.1, 0.25)
        painting.fill("bridge", (0, top), (2, top), (2, top + 0.06), (0, top + 0.06))


def _ground(painting: _Painting, horizon: float, middle: float) -> None:
    rng = painting.rng
    painting.fill(
        str(rng.choice(("terrain", "sidewalk"))), (0, 1), (0, horizon + 0.08), (2, horizon + 0.08), (2, 1)
    )
    for side in (-1, 1):
        inner, outer = side * rng.uniform(0.6, 1.1), side * rng.uniform(1.3, 2.2)
        kind = "parking" if rng.random() < 0.15 else "sidewalk"
        painting.fill(kind, (middle, horizon), (middle + inner, 1), (middle + outer, 1))
    left, right = rng.uniform(0.5, 1.3, 2)
    painting.fill(
        "road", (middle - 0.02, horizon), (middle + 0.02, horizon), (middle + right, 1), (middle - left, 1)
    )


def _object(painting: _Painting, horizon: float, middle: float, distance: float) -> None:
    """Draws a person, a vehicle or a pole, at a distance in metres."""
    rng = painting.rng
    metre = 1.2 / distance  # relative to the picture's height
    bottom = min(horizon + _CAMERA * metre, 1.0)
    x = middle + rng.uniform(-7, 7) * metre
    if rng.random() < 0.25:
        _pole(painting, x, bottom, metre)
        return
    names = tuple(_STANDING)
    shares = np.array([share for *_, share in _STANDING.values()])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    height, width, _ = _STANDING[name]
    painting.box(
        name, x, bottom, width * rng.uniform(0.8, 1.5) * metre, height * rng.uniform(0.9, 1.1) * metre
    )
    if name in ("bicycle", "motorcycle") and rng.random() < 0.7:
        painting.box("rider", x, bottom - 0.6 * metre, 0.6 * metre, 1.2 * metre)


def _pole(painting: _Painting, x: float, bottom: float, metre: float) -> None:
    rng = painting.rng
    top, half = bottom - rng.uniform(3, 6) * metre, max(0.08 * metre, 0.005)
    painting.fill("pole", (x - half, bottom), (x - half, top), (x + half, top), (x + half, bottom))
    kind = rng.choice(("traffic light", "traffic sign", "none"))
    if kind != "none":
        wide, tall = (0.35, 1.0) if kind == "traffic light" else (0.8, 0.8)
        painting.box(str(kind), x, top + 0.4 * metre, wide * metre, tall * metre)
