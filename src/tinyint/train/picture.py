"""Random parts, scales, angles and colours of training pictures, their labels with them.

Each picture is cut from its file at once, so that nothing is resampled twice: a view is a rectangle in the pixels of
the file, which may reach beyond it, and what it holds is resized to what the model takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageEnhance

from tinyint.data import Boxes, Preprocessing
from tinyint.data.picture import Picture
from tinyint.data.preprocess import RESAMPLING
from tinyint.errors import DataError
from tinyint.train.config import Augmentation
from tinyint.train.views import View, crop_view, expanded_view, part_view, scaled_view

__all__ = ["PictureAugmenter"]


@dataclass(frozen=True)
class PictureAugmenter:
    """Augmented pictures of a `size` (width, height), or as preprocessed.

    If it is None, as the preprocessing leaves them.

    `ignored` is the class number of the pixels of a mask that lie outside its image.
    """

    options: Augmentation
    preprocessing: Preprocessing
    size: tuple[int, int] | None
    ignored: int

    def __post_init__(self) -> None:
        for key in ("resized_crop", "crop", "expand", "scale"):
            if getattr(self.options, key) != getattr(Augmentation(), key) and self.size is None:
                raise DataError(
                    f"data.augment.{key} needs images of one size: declare a resize to [height, width], or a crop"
                )
        for key in ("saturation", "hue"):
            if getattr(self.options, key) and self.preprocessing.color == "GRAY":
                raise DataError(f"data.augment.{key} changes nothing in gray images: leave it out")

    def __call__(self, picture: Picture, generator: np.random.Generator) -> Picture:
        """Placed picture, as `ImageSource.place` gives it.

        Raises DataError for one smaller than the crop.
        """
        view, label = self._view(picture, generator), picture.label
        if view is None:
            image = self.preprocessing.place(picture.image)
            if isinstance(label, np.ndarray):
                label = self.preprocessing.place_mask(label)
        else:
            assert self.size is not None
            image = view.cut(picture.image, self.size, self._resampling, self._mean_color())
            if isinstance(label, np.ndarray):
                mask = Image.fromarray(label)
                label = np.array(view.cut(mask, self.size, Image.Resampling.NEAREST, self.ignored))
            elif isinstance(label, Boxes):
                label = seen_boxes(label, view)
        return Picture(self._rotated(self._colored(image, generator), generator), label)

    def _view(self, picture: Picture, generator: np.random.Generator) -> View | None:
        """The part of the picture that is seen; None: what the preprocessing declares."""
        options, size = self.options, picture.image.size
        if isinstance(picture.label, Boxes):
            view = View(0, 0, *size)
            if options.expand > 1 and generator.random() < 0.5:
                view = expanded_view(view, options.expand, generator)
            if options.crop and generator.random() < options.crop:
                view = crop_view(view, picture.label.boxes, generator)
            return None if view == View(0, 0, *size) else view
        if options.scale is not None:
            assert self.size is not None
            return scaled_view(size, self.preprocessing.resized(*size), self.size, options.scale, generator)
        if options.resized_crop is not None:
            return part_view(size, options.resized_crop, generator)
        return None

    def _colored(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        options = self.options
        for share, enhancer in (
            (options.brightness, ImageEnhance.Brightness),
            (options.contrast, ImageEnhance.Contrast),
            (options.saturation, ImageEnhance.Color),
        ):
            if share:
                image = enhancer(image).enhance(generator.uniform(1 - share, 1 + share))
        if options.hue:
            turn = round(generator.uniform(-options.hue, options.hue) * 256)
            hue, *others = image.convert("HSV").split()
            turned = hue.point([(value + turn) % 256 for value in range(256)])
            image = Image.merge("HSV", (turned, *others)).convert("RGB")
        return image

    def _rotated(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        if not self.options.rotation:
            return image
        angle = generator.uniform(-self.options.rotation, self.options.rotation)
        return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=self._mean_color())

    @property
    def _resampling(self) -> Image.Resampling:
        return RESAMPLING[self.preprocessing.interpolation]

    def _mean_color(self) -> tuple[int, ...] | int:
        """Colour nearest to a normalized 0, in the image's order."""
        declared = self.preprocessing
        means = [min(max(round(mean / declared.scale), 0), 255) for mean in declared.mean]
        if declared.channels == 1:
            return means[0]
        if len(means) == 1:
            means *= 3
        return tuple(means[::-1] if declared.color == "BGR" else means)


def seen_boxes(boxes: Boxes, view: View) -> Boxes:
    """The boxes whose centre a view shows, clipped to it, in its pixels."""
    x1, y1, x2, y2 = boxes.boxes.T
    kept = view.holds((x1 + x2) / 2, (y1 + y2) / 2)
    corner = np.array([view.left, view.top] * 2, np.float32)
    limits = np.array([view.width, view.height] * 2, np.float32)
    moved = np.clip(boxes.boxes[kept] - corner, 0, limits)
    sides = moved[:, 2:] - moved[:, :2]
    return replace(
        boxes,
        boxes=moved,
        classes=boxes.classes[kept],
        crowd=boxes.crowd[kept],
        areas=sides[:, 0] * sides[:, 1],
        size=(math.ceil(view.height), math.ceil(view.width)),
    )
