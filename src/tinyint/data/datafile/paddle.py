"""Files of Paddle's converters of ImageNet: number of images, images, labels.

int64 N, then N images of float32 (C, H, W), then N labels of int64, all little-endian. What the images are of stands
nowhere: it follows from the model's input, the declared preprocessing, or else the size of the file.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyint.data.arrays import ArraySource, array_source
from tinyint.data.declaration import Declaration
from tinyint.data.image_input import image_input
from tinyint.data.preprocess import Preprocessing
from tinyint.data.stored import StreamTable
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec

__all__ = ["paddle_source"]

_COUNT, _LABEL, _VALUE = 8, 8, 4  # bytes
_CHANNELS = 3


def paddle_source(path: Path, inputs: Sequence[TensorSpec], declared: Declaration | None) -> ArraySource:
    """Source of such a file. Raises DataError for a file that is none."""
    count, values = _sizes(path)
    spec = image_input(inputs, str(path))
    shape = _shape(values, spec, declared)
    if math.prod(shape) != values:
        raise DataError(
            f"{path} holds {count} images of {values} float32 values each, but input {spec.name!r} is {spec}, with "
            f"{math.prod(shape)} values: make a file for this model, with `tinyint preprocess --model MODEL`"
        )
    return array_source(
        {
            spec.name: _table(path, _COUNT, (count, *shape), "<f4"),
            "labels": _table(path, _COUNT + count * values * _VALUE, (count,), "<i8"),
        },
        [spec],
        path.name,
        path,
    )


def _sizes(path: Path) -> tuple[int, int]:
    """Number of images, and of values in each, by the arithmetic of the file's size."""
    try:
        with path.open("rb") as file:
            start, size = file.read(_COUNT), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    (count,) = struct.unpack("<q", start) if len(start) == _COUNT else (0,)
    each, left = divmod(size - _COUNT, count) if count > 0 else (0, 1)
    values, odd = divmod(each - _LABEL, _VALUE)
    if left or odd or values < 1:
        raise DataError(
            f"{path} is no data file: its first 8 bytes are neither those of `tinyint preprocess` nor a number N "
            f"of float32 images and int64 labels that its {size} bytes could hold (they say {count}); is it truncated?"
        )
    return count, values


def _shape(values: int, spec: TensorSpec, declared: Declaration | None) -> tuple[int, ...]:
    """Axes of an image: those of the input, where it leaves them open those declared, else a square."""
    axes = spec.shape[-3:]
    size = declared.size() if isinstance(declared, Preprocessing) else None
    channels = axes[0] or _CHANNELS
    side = math.isqrt(values // channels)
    height, width = size or (side, side)
    return (channels, axes[1] or height, axes[2] or width)


def _table(path: Path, offset: int, shape: tuple[int, ...], dtype: str) -> StreamTable:
    return StreamTable(str(path), lambda: path.open("rb"), offset, shape, np.dtype(dtype))
