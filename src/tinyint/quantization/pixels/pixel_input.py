"""Input of a model with folded preprocessing: how it is declared, and its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from tinyint.data import Declaration, Preprocessing, Sample
from tinyint.data.declared import saved_preprocessing
from tinyint.errors import DataError
from tinyint.metadata import FOLDED
from tinyint.numbers.numerics import Array
from tinyint.quantization.pixels.fold import Folded, folded
from tinyint.quantization.pixels.readers import unfoldable
from tinyint.runtimes import Feeds
from tinyint.targets import Target

__all__ = ["PixelInput"]

_BRIGHTEST = 255
_STEP = 0.01  # of a pixel: how far a preprocessed value may be from that of a whole one


@dataclass(frozen=True, kw_only=True)
class PixelInput:
    """Image input of a float model, and its preprocessing, which is folded in.

    `resizes`: with resize and crop; else these stay outside.
    """

    name: str
    preprocessing: Preprocessing
    resizes: bool = False

    @classmethod
    def of(cls, model: ir.Model, declared: Declaration | None, *, resizes: bool = False) -> Self:
        """Raises DataError without a declared preprocessing of images, which may not be assumed."""
        if declared is None or (isinstance(declared, Preprocessing) and declared.assumed):
            raise unfoldable("none is declared: give a --preprocessing file, or a model that carries one")
        if not isinstance(declared, Preprocessing):
            raise unfoldable("the model takes texts, and there is no convolution for them to go into")
        return cls(name=str(model.graph.inputs[0].name), preprocessing=declared, resizes=resizes)

    @classmethod
    def saved(cls, name: str, metadata: Mapping[str, str]) -> Self | None:
        """Input `name` of a float model, by the metadata of its int8 model.

        None unless the preprocessing was folded. Raises DataError for a damaged entry.
        """
        text = metadata.get(FOLDED)
        if text is None:
            return None
        whole = Preprocessing.from_yaml(text, f"the model's metadata entry {FOLDED}")
        left = saved_preprocessing(metadata)
        placed = isinstance(left, Preprocessing) and (left.resize, left.crop) == (whole.resize, whole.crop)
        return cls(name=name, preprocessing=whole, resizes=not placed)

    @property
    def declaration(self) -> Preprocessing:
        """Preprocessing outside the model: resize and crop, or nothing."""
        left = self.preprocessing.changed(scale=1.0, mean=[0.0], std=[1.0], layout="NHWC", color=self._color)
        return left.changed(resize=None, crop=None) if self.resizes else left

    @property
    def _color(self) -> str:
        return "RGB" if self.preprocessing.channels == 3 else "GRAY"

    def metadata(self) -> dict[str, str]:
        """Entries of the model that takes pixels."""
        return {**self.declaration.to_metadata(), FOLDED: self.preprocessing.dump()}

    def fold(self, prepared: ir.Model, target: Target) -> Folded:
        """Float graph of pixels, with its metadata; see `folded`."""
        made = folded(prepared, self.preprocessing, target, resize=self.resizes)
        made.model.metadata_props.update(self.metadata())
        return made

    def notes(self) -> tuple[str, ...]:
        """Sentence for the user on what the model takes."""
        size = " of any height and width" if self.resizes else ""
        return (
            f"the preprocessing is in the model: it takes pixels, uint8 [N, H, W, C] in {self._color}{size}, and was "
            "compared and timed with the float model on pixels",
        )

    def feeds(self, feeds: Feeds) -> Feeds:
        """The same sample as pixels, for the folded model. Raises DataError as `pixels`."""
        return {name: self.pixels(array) for name, array in feeds.items()}

    def sample(self, sample: Sample) -> Sample:
        """The same sample as pixels, for the folded model. Raises DataError as `pixels`."""
        try:
            return Sample(dict(self.feeds(sample.inputs)), sample.label, sample.name)
        except DataError as error:
            raise DataError(f"{sample.name}: {error}") from None

    def preprocessed(self, sample: Sample) -> Sample:
        """Sample of pixels, as the float model takes it. Raises DataError as `floats`."""
        try:
            inputs = {name: self.floats(array) for name, array in sample.inputs.items()}
        except DataError as error:
            raise DataError(f"{sample.name}: {error}") from None
        return Sample(inputs, sample.label, sample.name)

    def floats(self, pixels: Array, dtype: np.dtype[Any] | None = None) -> Array:
        """Preprocessed images of pixels (N, H, W, C), uint8, in RGB; by default float32.

        Raises DataError for images that are smaller than the crop.
        """
        images = map(self.preprocessing.place_pixels, pixels) if self.resizes else pixels
        return np.stack([self.preprocessing.scaled(image, dtype) for image in images])

    def nearest(self, sample: Sample) -> Sample:
        """Sample of the pixels nearest to an image, which may have been augmented."""
        inputs = {name: self._in_rgb(np.rint(self._exact(array))) for name, array in sample.inputs.items()}
        return Sample(inputs, sample.label, sample.name)

    def pixels(self, array: Array) -> Array:
        """Pixels (N, H, W, C) of preprocessed images, uint8, in RGB.

        Raises DataError for values that no pixel has.
        """
        exact = self._exact(array)
        pixels = np.rint(exact)
        if not (np.abs(exact - pixels) <= _STEP).all() or pixels.min() < 0 or pixels.max() > _BRIGHTEST:
            raise DataError(
                f"input {self.name!r} holds values that the declared preprocessing makes of no pixel, so the model "
                "with it folded in cannot be run on them: give images, or declare the preprocessing that was applied"
            )
        return self._in_rgb(pixels)

    def _exact(self, array: Array) -> Array:
        """Values (N, H, W, C) before scale, mean and std, in the order of the network's channels."""
        images = array if self.preprocessing.layout == "NHWC" else np.moveaxis(array, 1, -1)
        mean, std = (
            np.array(values, np.float32) for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        exact: Array = (images * std + mean) / np.float32(self.preprocessing.scale)
        return exact

    def _in_rgb(self, pixels: Array) -> Array:
        whole = np.clip(pixels, 0, _BRIGHTEST).astype(np.uint8)
        return np.ascontiguousarray(whole[..., ::-1] if self.preprocessing.color == "BGR" else whole)
