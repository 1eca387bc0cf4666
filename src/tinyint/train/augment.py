"""Random changes to training images (1, C, H, W), each a function of a generator that is the sample's own."""

from __future__ import annotations

import numpy as np

from tinyint.errors import DataError
from tinyint.numerics import Array
from tinyint.train.config import Augmentation

__all__ = ["augment"]


def augment(image: Array, options: Augmentation, generator: np.random.Generator) -> Array:
    """The image mirrored, moved and with noise, as the options say. Raises DataError for what is no float image."""
    if image.ndim != 4 or image.dtype.kind != "f":
        raise DataError(
            f"data.augment is for float images [N, C, H, W]; the input is {image.dtype} of shape {image.shape}: "
            "leave it out, and augment in a function of yours (data.train: package.module:function)"
        )
    if options.flip and generator.random() < 0.5:
        image = image[..., ::-1]
    if options.shift:
        down, right = generator.integers(-options.shift, options.shift + 1, size=2)
        image = _moved(_moved(image, int(down), 2), int(right), 3)
    if options.noise:
        noise = generator.standard_normal(image.shape, dtype=np.float32) * np.float32(options.noise)
        image = image + noise.astype(image.dtype)
    return np.ascontiguousarray(image)


def _moved(image: Array, by: int, axis: int) -> Array:
    """The image moved along an axis; what comes in repeats the border."""
    places = np.clip(np.arange(image.shape[axis]) - by, 0, image.shape[axis] - 1)
    return np.take(image, places, axis=axis)
