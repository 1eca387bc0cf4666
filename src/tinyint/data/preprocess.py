"""Declared preprocessing of images, saved with the model.

The steps, in order: EXIF orientation (applied, as image viewers do), colour, resize, centre crop, then for each channel

    y = (pixel · scale - mean) / std

An 8-bit pixel has 256 values, so y comes from a table of 256 rows per channel: exact (computed in float64, rounded
once), and quick. `mean` and `std` follow the channel order of `color`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field, field_validator, model_validator

from tinyint.data.declaration import Declaration
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array

__all__ = ["RESAMPLING", "Preprocessing"]

Side = Annotated[int, Field(gt=0, le=1 << 16, strict=True)]
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


class Preprocessing(Declaration):
    """Steps of image preprocessing, in the order of the module's docstring."""

    # An int is the length of the shorter side; a pair is (height, width).
    resize: Side | tuple[Side, Side] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    # The centre, as (height, width).
    crop: tuple[Side, Side] | None = None
    scale: float = 1 / 255
    # One value for all channels, or one per channel; in units of the scaled pixel.
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    color: Literal["RGB", "BGR", "GRAY"] = "RGB"
    # True when nobody declared the values above and they were inferred from the model's input.
    assumed: bool = False

    @field_validator("scale", mode="before")
    @classmethod
    def _fraction(cls, value: object) -> object:
        """Scale as a number: it may be written as 1/255, which YAML reads as text."""
        if isinstance(value, str) and "/" in value:
            try:
                return float(Fraction(value.replace(" ", "")))
            except (ValueError, ZeroDivisionError, OverflowError):
                return value
        return value

    @field_validator("crop", mode="before")
    @classmethod
    def _square(cls, value: object) -> object:
        return (value, value) if isinstance(value, int) else value

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _per_channel(cls, value: object) -> object:
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(
                    f"{key} has {len(values)} values, {self.color} images have {self.channels} channels"
                )
        if self.scale == 0 or any(s <= 0 for s in self.std):
            raise ValueError("scale must not be 0 and std must be > 0")
        brightest = abs(255 * self.scale)
        if any(abs(m) > 1.001 * brightest for m in self.mean):
            raise ValueError(
                f"mean {list(self.mean)} lies outside the scaled pixel range of {brightest:g}: mean and std apply "
                "after scale, so set scale to 1, or divide mean and std by 255"
            )
        if self.crop and self.resize:
            height, width = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
            one_side_fits = min(self.crop) <= self.resize if isinstance(self.resize, int) else True
            if not one_side_fits or (
                isinstance(self.resize, tuple) and (self.crop[0] > height or self.crop[1] > width)
            ):
                raise ValueError(f"crop {list(self.crop)} is larger than the resized image ({self.resize})")
        return self

    @property
    def channels(self) -> int:
        return 1 if self.color == "GRAY" else 3

    def size(self) -> tuple[int, int] | None:
        """(height, width) of the results; None if it depends on the image."""
        return self.crop or (self.resize if isinstance(self.resize, tuple) else None)

    def axes(self) -> tuple[int | None, ...]:
        """Shape of the results, in `layout`.

        None for a side that depends on the image.
        """
        size = self.size() or (None, None)
        return (self.channels, *size) if self.layout == "NCHW" else (*size, self.channels)

    def apply(self, image: Image.Image, dtype: np.dtype[Any] | None = None) -> Array:
        """Array (C, H, W) or (H, W, C) of an image, by default float32.

        Raises DataError for an image of more than 8 bits or smaller than the crop, and for an integer `dtype` that
        cannot represent the values exactly.
        """
        return self.pixels(self.place(self.upright(image)), dtype)

    def upright(self, image: Image.Image) -> Image.Image:
        """8-bit RGB or gray image in the orientation that viewers show.

        Raises DataError for more bits.
        """
        return _eight_bit(ImageOps.exif_transpose(image), self.color)

    def place(self, image: Image.Image) -> Image.Image:
        """Image resized and cropped. Raises DataError if it is smaller than the crop."""
        return self._crop(self._resize(image, RESAMPLING[self.interpolation]))

    def place_pixels(self, pixels: Array) -> Array:
        """Pixels (H, W, C), RGB or gray, resized and cropped; see `place`."""
        placed = np.asarray(self.place(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)))
        return placed[..., None] if placed.ndim == 2 else placed

    def place_mask(self, mask: Array) -> Array:
        """Mask (H, W) of class numbers, resized by nearest pixels and cropped."""
        image = Image.fromarray(mask)
        return np.array(self._crop(self._resize(image, Image.Resampling.NEAREST)))

    def pixels(self, image: Image.Image, dtype: np.dtype[Any] | None = None) -> Array:
        """Array of an upright, resized and cropped image; see `apply`."""
        pixels = np.asarray(image)
        return self.scaled(pixels[..., None] if pixels.ndim == 2 else pixels, dtype)

    def scaled(self, pixels: Array, dtype: np.dtype[Any] | None = None) -> Array:
        """Array of pixels (H, W, C), RGB or gray; see `apply`."""
        table = self.table(dtype)
        pixels = pixels[..., ::-1] if self.color == "BGR" else pixels
        height, width, channels = pixels.shape
        out = np.empty((channels, height, width), table.dtype)
        for channel in range(channels):
            np.take(table[channel], pixels[..., channel], out=out[channel], mode="clip")
        return out if self.layout == "NCHW" else np.ascontiguousarray(out.transpose(1, 2, 0))

    def table(self, dtype: np.dtype[Any] | None = None) -> Array:
        """Value of each of the 256 pixel values by channel, (C, 256); see `apply`."""
        return _pixel_table(self, np.dtype(np.float32) if dtype is None else dtype)

    def at_size(self, height: int, width: int) -> Self:
        """Same steps for results of another size: resize and crop in proportion."""
        resize = self.resize
        if self.crop is None:
            return self.changed(resize=(height, width))
        if isinstance(resize, int):
            resize = round(resize * min(height, width) / min(self.crop))
        elif resize is not None:
            resize = (round(resize[0] * height / self.crop[0]), round(resize[1] * width / self.crop[1]))
        return self.changed(resize=resize, crop=(height, width))

    def changed(self, **keys: object) -> Self:
        """Same declaration with other values of some keys. Raises DataError."""
        return self.parse(self.model_dump() | keys)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of an image of this size after the resize."""
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        short = min(width, height)  # the longer side is rounded down, as in torchvision
        return max(1, self.resize * width // short), max(1, self.resize * height // short)

    def _resize(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        size = self.resized(*image.size)
        return image if size == image.size else image.resize(size, resampling)

    def _crop(self, image: Image.Image) -> Image.Image:
        if self.crop is None:
            return image
        height, width = self.crop
        if width > image.width or height > image.height:
            raise DataError(
                f"the image is {image.height}×{image.width} when it comes to the crop of {height}×{width}: "
                "declare a resize that is at least as large"
            )
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        return image.crop((left, top, left + width, top + height))


def _eight_bit(image: Image.Image, color: str) -> Image.Image:
    """Image with 8 bits per channel, RGB or gray, without transparency."""
    if image.mode[0] in "IF":
        raise DataError(
            f"the image has more than 8 bits per channel (mode {image.mode}): convert it, or give arrays (.npy, .npz)"
        )
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if color == "GRAY" else "RGB")


@lru_cache(maxsize=16)
def _pixel_table(preprocessing: Preprocessing, dtype: np.dtype[Any]) -> Array:
    """Value of each pixel value by channel, (C, 256)."""
    shape = (preprocessing.channels, 1)
    mean = np.broadcast_to(np.array(preprocessing.mean)[:, None], shape)
    std = np.broadcast_to(np.array(preprocessing.std)[:, None], shape)
    exact = (np.arange(256.0) * preprocessing.scale - mean) / std
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if (exact != np.rint(exact)).any() or exact.min() < bounds.min or exact.max() > bounds.max:
            raise DataError(
                f"the model takes {dtype} images, but the preprocessing gives values from {exact.min():g} to "
                f"{exact.max():g} that are not all of that type: set scale and std to 1 and mean to a whole number"
            )
    elif dtype.kind != "f":
        raise DataError(f"images cannot be turned into {dtype} arrays: give the samples as arrays (.npz)")
    table: Array = exact.astype(dtype)
    table.flags.writeable = False
    return table
