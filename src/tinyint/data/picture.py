"""Reading of an image and its label from their files, at full size."""

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
_MOST_PIXELS = 2**30 // 12  # 1 GiB in three channels of float32; also Pillow's limit


@dataclass(frozen=True, eq=False)
class MaskFile:
    """Image file with a class number per pixel.

    `ids` (256,) maps the file's numbers to classes, -1 for numbers that must not occur; None: they are the classes.
    """

    path: Path
    name: str
    ids: NDArray[np.int16] | None = None


@dataclass(frozen=True)
class ImageFile:
    """Image on disk and its label.

    `name`: its path within the folder, or in the list.
    """

    path: Path
    name: str
    label: int | MaskFile | Boxes | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """Upright 8-bit image, and its label.

    A mask has the image's size, `Boxes` are in its pixels.
    """

    image: Image.Image
    label: Label | None


def read_picture(file: ImageFile, preprocessing: Preprocessing) -> Picture:
    """Reads an image and its label.

    Raises DataError, with the file, if one is unreadable, or if their sizes differ.
    """
    try:
        _require_file(file.path)
        with Image.open(file.path) as image:
            _require_readable(image)
            image.load()
            upright = preprocessing.upright(image)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, … for a damaged file
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
    """Raises DataError for a device, pipe or folder, and OSError for a missing file."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError("a device, a pipe or a folder, and no file")


def _require_readable(image: Image.Image) -> None:
    """Raises DataError for an image that is too large for memory, before it is decoded."""
    if image.width * image.height > _MOST_PIXELS:
        raise DataError(
            f"{image.height}×{image.width} are more pixels than are read ({_MOST_PIXELS:,}); make it smaller"
        )


def _read_mask(mask: MaskFile, image: ImageFile, size: tuple[int, int]) -> Array:
    """Class numbers of the pixels, uint8 (H, W)."""
    try:
        _require_file(mask.path)
        with Image.open(mask.path) as file:
            _require_readable(file)
            file.load()
            mode, numbers = file.mode, np.array(file)
    except DataError as error:
        raise DataError(f"{mask.path}: {error}") from None
    except Exception as error:  # as for images
        raise DataError(f"cannot read the label image {mask.path}: {type(error).__name__}: {error}") from None
    if mode not in _MASK_MODES:
        raise DataError(
            f"the label image {mask.path} is of mode {mode}; expected class numbers from 0 to 255, one a pixel "
            "(mode L, or P with a palette)"
        )
    if numbers.shape != size[::-1]:
        raise DataError(
            f"the label image {mask.path} is {numbers.shape[0]}×{numbers.shape[1]}, but {image.path} is "
            f"{size[1]}×{size[0]}: they must have one size"
        )
    if mask.ids is None:
        return numbers
    mapped = mask.ids[numbers]
    if (mapped < 0).any():
        row, column = (int(i) for i in np.argwhere(mapped < 0)[0])
        raise DataError(
            f"the label image {mask.path} holds the unknown id {numbers[row, column]} (row {row}, column {column})"
        )
    classes: Array = mapped.astype(np.uint8)
    return classes
