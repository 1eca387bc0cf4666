"""Boxes with names and scores."""

from __future__ import annotations

from PIL import Image, ImageDraw

from tinyint.tasks.pictures.canvas import Canvas, canvas, colour_of, font, ink_on, shortened, width_of
from tinyint.tasks.tails.detections import Detections
from tinyint.tasks.task import Task

__all__ = ["draw_boxes"]


def draw_boxes(image: Image.Image, found: Detections, info: Task) -> Image.Image:
    """The image with its detections, the surest drawn last, on top."""
    made = canvas(image)
    draw = ImageDraw.Draw(made.image)
    ordered = found.best(len(found.scores))
    rows = list(zip(ordered.boxes, ordered.classes, ordered.scores, strict=True))
    for corners, number, score in reversed(rows):
        box = [made.scale * float(corner) for corner in corners]
        _draw_one(draw, made, box, int(number), info.name_of(int(number)), f" {score:.2f}")
    return made.image


def _draw_one(
    draw: ImageDraw.ImageDraw, made: Canvas, box: list[float], number: int, name: str, score: str
) -> None:
    colour = colour_of(number)
    left, top, right, bottom = box
    line = max(2, made.text // 6)
    draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=line)
    pad = max(2, made.text // 5)
    room = made.image.width - 2 * pad - width_of(draw, score, made.text)
    text = shortened(draw, name, made.text, room) + score
    width, height = width_of(draw, text, made.text) + 2 * pad, made.text + 2 * pad
    x = min(max(0.0, left), max(0.0, made.image.width - width))
    y = top - height if top >= height else top  # above the box, or in it at the upper border
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + pad, y + height / 2), text, fill=ink_on(colour), font=font(made.text), anchor="lm")
