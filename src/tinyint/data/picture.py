"""Image and label, read from their files at their own size."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinyint.data.labels import Boxes, Label
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array

__all__ = ["ImageFile", "MaskFile", "Picture", "read_picture"]

_MASK_MODES = ("L", "P")
_MOST_PIXELS = 2**30 // 12  # as Pillow has it: a gigabyte of them, in three channels of float32


@dataclass(frozen=True, eq=False)
class MaskFile:
    """An image file of class numbers, one a pixel.

    `ids` (256,) says what each number in the file stands for, -1 for what may not occur; None: for itself.
    """

    path: Path
    name: str
    ids: NDArray[np.int16] | None = None


@dataclass(frozen=True)
class ImageFile:
    """Image on disk; `name` is its path as the user knows it.

    Within the folder, or in the list.
    """

    path: Path
    name: str
    label: int | MaskFile | Boxes | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """Upright 8-bit image and its label.

    A label that is a mask has its height and width, `Boxes` are in its pixels.
    """

    image: Image.Image
    label: Label | None


def read_picture(file: ImageFile, preprocessing: Preprocessing) -> Picture:
    """Reads an image and its label.

    Raises DataError naming the file that cannot be read, or does not go with its label.
    """
    try:
        _require_file(file.path)
        with Image.open(file.path) as image:
            _require_readable(image)
            image.load()
            upright = preprocessing.upright(image)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None
    except (
        Exception
    ) as error:  # a damaged file raises whatever its decoder does: OSError, SyntaxError, struct.error, …
        raise DataError(f"cannot read the image {file.path}: {type(error).__name__}: {error}") from None
    if isinstance(file.label, MaskFile):
        return Picture(upright, _read_mask(file.label, file, upright.size))
    if isinstance(file.label, Boxes) and file.label.size != (upright.height, upright.width):
        height, width = file.label.size
        raise DataError(
            f"{file.path} is {upright.height}×{upright.width} (its EXIF orientation applied), but its annotation "
            f"says {height}×{width}: annotate the image as it is, or remove the orientation"
        )
    return Picture(upright, file.label)


def _require_file(path: Path) -> None:
    """Raises DataError for endless files, and OSError for missing ones."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError("a device, a pipe or a folder, and no file")


def _require_readable(image: Image.Image) -> None:
    """Raises DataError for more pixels than are taken into memory, before any of them is unpacked."""
    if image.width * image.height > _MOST_PIXELS:
        raise DataError(
            f"{image.height}×{image.width} are more pixels than are read ({_MOST_PIXELS:,}); make it smaller"
        )


def _read_mask(mask: MaskFile, image: ImageFile, size: tuple[int, int]) -> Array:
    """The class numbers (H, W), uint8."""
    try:
        _require_file(mask.path)
        with Image.open(mask.path) as opened:
            _require_readable(opened)
            opened.load()
            mode, found = opened.mode, np.array(opened)
    except DataError as error:
        raise DataError(f"{mask.path}: {error}") from None
    except Exception as error:  # as for images
        raise DataError(f"cannot read the label image {mask.path}: {type(error).__name__}: {error}") from None
    if mode not in _MASK_MODES:
        raise DataError(
            f"the label image {mask.path} is of mode {mode}; expected class numbers from 0 to 255, one a pixel "
            "(mode L, or P with a palette)"
        )
    if found.shape != size[::-1]:
        raise DataError(
            f"the label image {mask.path} is {found.shape[0]}×{found.shape[1]}, but {image.path} is "
            f"{size[1]}×{size[0]}: they must have one size"
        )
    if mask.ids is None:
        return found
    mapped = mask.ids[found]
    if (mapped < 0).any():
        row, column = (int(i) for i in np.argwhere(mapped < 0)[0])
        raise DataError(
            f"the label image {mask.path} holds the unknown id {found[row, column]} (row {row}, column {column})"
        )
    classes: Array = mapped.astype(np.uint8)
    return classes
