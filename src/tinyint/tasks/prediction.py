"""Prediction for one sample: JSON values and, for images, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyint.data import Sample
from tinyint.errors import DataError
from tinyint.numbers.numerics import Array

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Prediction", "Seen", "single"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Sample, and for an image file the picture to draw on.

    The upright image, cropped if the input is.
    """

    sample: Sample
    image_id: int
    image: Image.Image | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """`entries` of the JSON file, `picture`, and `mask` of pixel classes.

    `picture`: the image with the prediction in it.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    picture: Image.Image | None = None
    mask: Image.Image | None = None


def single(batch: Array, seen: Seen) -> Array:
    """Outputs of a sample's only image.

    Raises DataError for a sample of several.
    """
    if len(batch) != 1:
        raise DataError(
            f"{seen.sample.name} holds {len(batch)} images, but pictures are made of one at a time: export the model "
            "with an open batch axis"
        )
    return np.asarray(batch[0])
