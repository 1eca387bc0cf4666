"""Random augmentation of samples by kind of data, and of input arrays.

Every change is a function of a generator that is the sample's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from tinyint.data import Boxes, Label, LabelKind, Sample
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array
from tinyint.tasks.registry import tasks_for_labels
from tinyint.train.config import Augmentation

__all__ = ["ON_ARRAYS", "augment", "check_augmentation"]

ON_ARRAYS = ("flip", "shift", "noise")
_COLORS = ("brightness", "contrast", "saturation", "hue")
_ALLOWED: dict[LabelKind, tuple[str, ...]] = {
    LabelKind.CLASS: (*ON_ARRAYS, *_COLORS, "resized_crop", "rotation"),
    LabelKind.BOXES: ("flip", "noise", *_COLORS, "crop", "expand"),
    LabelKind.MASK: ("flip", "noise", *_COLORS, "scale"),
}


def check_augmentation(
    options: Augmentation, labels: LabelKind | None, kind: Literal["images", "texts", "arrays"], source: str
) -> None:
    """Raises DataError naming the key that does not fit the data.

    `labels`: theirs, if known.
    """
    for key in _used(options):
        if kind == "texts":
            raise DataError(f"data.augment.{key} does not go with the texts of {source}: leave it out")
        if kind == "arrays" and key not in ON_ARRAYS:
            raise DataError(
                f"data.augment.{key} is for image files, but {source} gives arrays, which go with "
                f"{', '.join(ON_ARRAYS)}: leave it out"
            )
        if labels is not None and key not in _ALLOWED[labels]:
            raise DataError(
                f"data.augment.{key} does not go with {tasks_for_labels(labels)}, which {source} is for; there are "
                f"{', '.join(_ALLOWED[labels])}"
            )


def _used(options: Augmentation) -> list[str]:
    unused = Augmentation()
    return [key for key in Augmentation.model_fields if getattr(options, key) != getattr(unused, key)]


def augment(
    sample: Sample, options: Augmentation, generator: np.random.Generator, layout: str = "NCHW"
) -> Sample:
    """Sample mirrored, moved and with noise, with its label.

    Raises DataError for anything but a float image.
    """
    if all(getattr(options, key) == getattr(Augmentation(), key) for key in ON_ARRAYS):
        return sample
    mirrored = options.flip and generator.random() < 0.5
    down, right = _drawn_shift(options.shift, generator)
    height, width = (2, 3) if layout == "NCHW" else (1, 2)
    inputs = {}
    for name, image in sample.inputs.items():
        if image.ndim != 4 or image.dtype.kind != "f":
            raise DataError(
                f"data.augment is for float images [N, C, H, W]; the input {name!r} is {image.dtype} of shape "
                f"{image.shape}: leave it out, and augment in a function of yours (data.train: package.module:function)"
            )
        if mirrored:
            image = np.flip(image, width)
        if options.shift:
            image = _moved(_moved(image, down, height), right, width)
        if options.noise:
            noise = generator.standard_normal(image.shape, dtype=np.float32) * np.float32(options.noise)
            image = image + noise.astype(image.dtype)
        inputs[name] = np.ascontiguousarray(image)
    label = sample.label
    if options.shift and label is not None and not isinstance(label, int):
        raise DataError(
            f"data.augment.shift is for class numbers; {sample.name} has another label: leave it out"
        )
    return Sample(inputs, _mirrored(label) if mirrored else label, sample.name)


def _drawn_shift(most: int, generator: np.random.Generator) -> tuple[int, int]:
    down, right = generator.integers(-most, most + 1, size=2) if most else (0, 0)
    return int(down), int(right)


def _moved(image: Array, by: int, axis: int) -> Array:
    """The image moved along an axis; what comes in repeats the border."""
    places = np.clip(np.arange(image.shape[axis]) - by, 0, image.shape[axis] - 1)
    return np.take(image, places, axis=axis)


def _mirrored(label: Label | None) -> Label | None:
    if isinstance(label, Boxes):
        x1, y1, x2, y2 = label.boxes.T
        width = np.float32(label.size[1])
        return replace(label, boxes=np.stack([width - x2, y1, width - x1, y2], axis=1))
    if isinstance(label, np.ndarray) and label.ndim >= 2:
        return np.ascontiguousarray(label[..., ::-1])
    return label
