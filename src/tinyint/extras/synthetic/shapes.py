"""Objects of scenes: an outline filled with a texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tinyint.extras.synthetic.drawing import Canvas, Mask, as_mask, clouds, colour

__all__ = ["SHAPES", "Thing", "outline", "paint"]


def _regular(corners: int) -> NDArray[np.float64]:
    """Corners on the unit circle.

    The shape lies on a side if their number is odd or 4.
    """
    angles = (np.arange(corners) + (0.5 if corners == 4 else 0)) * (2 * np.pi / corners) - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> NDArray[np.float64]:
    return _regular(10) * np.where(np.arange(10) % 2, 0.45, 1.0)[:, None]


def _cross(arm: float) -> NDArray[np.float64]:
    quarter = np.array([(-arm, -1), (arm, -1), (arm, -arm)])
    turns = [np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), k) for k in range(4)]
    return np.concatenate([quarter @ turn for turn in turns])


SHAPES: dict[str, NDArray[np.float64]] = {
    "disc": _regular(28),
    "square": _regular(4),
    "triangle": _regular(3),
    "star": _star(),
    "cross": _cross(0.3),
}
"""Corners (n, 2) of each shape, at a distance of about 1 from the origin."""


@dataclass(frozen=True, eq=False)
class Thing:
    """Placed object: `outline` (n, 2) and `diameter` in pixels; `label` None for a distractor."""

    shape: str
    texture: str
    label: int | None
    crowd: bool
    outline: NDArray[np.float64]
    diameter: float

    def area(self) -> float:
        """Area of the outline, in pixels, by the shoelace formula."""
        x, y = self.outline.T
        return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def outline(rng: np.random.Generator, shape: str, x: float, y: float, diameter: float) -> NDArray[np.float64]:
    """Corners (n, 2) of a shape around (x, y), rotated, stretched and slanted."""
    angle, stretch, slant = rng.uniform(-0.44, 0.44), np.exp(rng.uniform(-0.25, 0.25)), rng.uniform(-0.2, 0.2)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.array([[stretch, slant], [0, 1 / stretch]])
    return np.asarray(SHAPES[shape] @ turn.T * (diameter / 2) + (x, y))


def paint(
    rng: np.random.Generator, canvas: Canvas, owner: NDArray[np.int_], number: int, thing: Thing
) -> Canvas:
    """Draws the thing onto `canvas`, and its `number` into `owner`, in place."""
    height, width, _ = canvas.shape
    left, top = np.maximum(np.floor(thing.outline.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(thing.outline.max(axis=0)) + 1, (width, height)).astype(int)
    first, second = _two_colours(rng)
    shade = rng.uniform(0.1, 0.5)
    if right - left < 2 or bottom - top < 2:
        return canvas
    mask = _cover(thing.outline - (left, top), bottom - top, right - left)
    pattern = _pattern(rng, thing, left, top, bottom - top, right - left)
    fill = first + pattern[..., None] * (second - first)
    fill *= 1 - np.float32(shade) * clouds(rng, bottom - top, right - left, 3)[..., None]
    area = (slice(top, bottom), slice(left, right))
    canvas[area] += mask[..., None] * (fill - canvas[area])
    owner[area][mask > 0.5] = number
    return canvas


def _cover(corners: NDArray[np.float64], height: int, width: int) -> Mask:
    """Share of each pixel inside the outline, in quarters."""
    fine = Image.new("L", (2 * int(width), 2 * int(height)))
    ImageDraw.Draw(fine).polygon([(2 * x - 0.5, 2 * y - 0.5) for x, y in corners], fill=255)
    return as_mask(fine.reduce(2))


def _two_colours(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two colours of different brightness."""
    first, second = colour(rng), colour(rng)
    while abs(float((first - second).mean())) < 0.25:
        second = colour(rng)
    return first, second


def _pattern(rng: np.random.Generator, thing: Thing, left: int, top: int, height: int, width: int) -> Mask:
    """Texture over a patch with corner (left, top): 0 for the first colour, 1 for the second."""
    if thing.texture == "plain":
        return np.zeros((height, width), np.float32)
    x, y = np.arange(width) + left, np.arange(height)[:, None] + top
    period, angle = max(thing.diameter / rng.uniform(2.5, 4.5), 4.0), rng.uniform(0, np.pi)
    phase_x, phase_y = rng.uniform(0, 2 * np.pi, 2)
    u = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period) + phase_x)
    v = np.sin((y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / period) + phase_y)
    wave = {"striped": u, "checked": u * v * 2, "dotted": u + v - 0.7}[thing.texture]
    return np.asarray(np.clip(wave * period / 4 + 0.5, 0, 1), dtype=np.float32)
