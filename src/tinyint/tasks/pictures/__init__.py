"""Predictions drawn onto images: boxes, masks, and bars of probabilities."""

from tinyint.tasks.pictures.bars import draw_bars
from tinyint.tasks.pictures.boxes import draw_boxes
from tinyint.tasks.pictures.file import is_own_picture, save_picture
from tinyint.tasks.pictures.masks import draw_mask, mask_image, resized

__all__ = ["draw_bars", "draw_boxes", "draw_mask", "is_own_picture", "mask_image", "resized", "save_picture"]
