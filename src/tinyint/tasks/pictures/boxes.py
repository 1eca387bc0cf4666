"""Drawing of boxes with names and scores."""

from __future__ import annotations

from PIL import Image, ImageDraw

from tinyint.tasks.pictures.canvas import Canvas, canvas, colour_of, font, ink_on, shortened, width_of
from tinyint.tasks.tails.detections import Detections
from tinyint.tasks.task import Task

__all__ = ["draw_boxes"]


def draw_boxes(image: Image.Image, detections: Detections, info: Task) -> Image.Image:
    """Image with its detections; the one with the highest score is on top."""
    sheet = canvas(image)
    draw = ImageDraw.Draw(sheet.image)
    ordered = detections.best(len(detections.scores))
    rows = list(zip(ordered.boxes, ordered.classes, ordered.scores, strict=True))
    for corners, number, score in reversed(rows):
        box = [sheet.scale * float(corner) for corner in corners]
        _draw_box(draw, sheet, box, int(number), info.name_of(int(number)), f" {score:.2f}")
    return sheet.image


def _draw_box(
    draw: ImageDraw.ImageDraw, sheet: Canvas, box: list[float], number: int, name: str, score: str
) -> None:
    colour = colour_of(number)
    left, top, right, bottom = box
    line = max(2, sheet.text // 6)
    draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=line)
    pad = max(2, sheet.text // 5)
    room = sheet.image.width - 2 * pad - width_of(draw, score, sheet.text)
    text = shortened(draw, name, sheet.text, room) + score
    width, height = width_of(draw, text, sheet.text) + 2 * pad, sheet.text + 2 * pad
    x = min(max(0.0, left), max(0.0, sheet.image.width - width))
    y = top - height if top >= height else top  # above the box, or in it at the upper border
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + pad, y + height / 2), text, fill=ink_on(colour), font=font(sheet.text), anchor="lm")
