"""Detections in one image, in pixels of that image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinyint.errors import ModelError
from tinyint.numbers.numerics import Array

__all__ = ["Detections", "detections_of", "image_size"]

_COLUMNS = 7
_CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Detections in one image: `boxes` (k, 4), `classes` (k,) and `scores` (k,).

    Boxes are x1, y1, x2, y2 in pixels of the original image; scores are from 0 to 1.
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]

    def best(self, count: int) -> Self:
        """Detections with the highest scores, highest first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return type(self)(boxes=self.boxes[order], classes=self.classes[order], scores=self.scores[order])


def detections_of(
    outputs: Mapping[str, Array], inputs: Mapping[str, Array], original: tuple[int, int], name: str
) -> Detections:
    """Detections in one image, from the output `detections` (k, 7).

    `original`: (height, width) of the image before it was resized to the input. Raises ModelError if there is no such
    output, or if it is NaN for the sample `name`.
    """
    rows = outputs.get("detections")
    if rows is None or rows.ndim != 2 or rows.shape[1] != _COLUMNS:
        listed = ", ".join(f"{output!r} {array.shape}" for output, array in outputs.items())
        raise ModelError(f"the model has no output `detections` of shape (K, {_COLUMNS}), only {listed}")
    if np.isnan(rows).any():
        raise ModelError(f"output 'detections' is NaN for sample {name}; check its preprocessing")
    height, width = image_size(inputs)
    scale = np.array([original[1] / width, original[0] / height] * 2, np.float32)
    return Detections(
        boxes=(rows[:, 3:] * scale).astype(np.float32),
        classes=rows[:, 1].astype(np.int64),
        scores=rows[:, 2].astype(np.float32),
    )


def image_size(inputs: Mapping[str, Array]) -> tuple[int, int]:
    """(height, width) of the image among the inputs.

    It is (N, C, H, W) or (N, H, W, C). Raises ModelError if there is none.
    """
    for array in inputs.values():
        if array.ndim == 4:
            height, width = array.shape[2:] if array.shape[1] in _CHANNELS else array.shape[1:3]
            return int(height), int(width)
    listed = ", ".join(f"{name!r} {array.shape}" for name, array in inputs.items())
    raise ModelError(f"the model takes no image (N, C, H, W), only {listed}; it is no detector")
