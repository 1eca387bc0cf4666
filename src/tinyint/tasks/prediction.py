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
    """Sample to predict.

    Of an image file also the image, upright and cropped as the input is.
    """

    sample: Sample
    image_id: int
    image: Image.Image | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Prediction for one sample.

    * `entries`: entries of the JSON file
    * `picture`: image with the prediction drawn into it
    * `mask`: image of pixel classes
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    picture: Image.Image | None = None
    mask: Image.Image | None = None


def single(batch: Array, seen: Seen) -> Array:
    """Output for the only image of a sample.

    Raises DataError for a sample of several images.
    """
    if len(batch) != 1:
        raise DataError(
            f"{seen.sample.name} holds {len(batch)} images, but pictures are made of one at a time: export the model "
            "with an open batch axis"
        )
    return np.asarray(batch[0])
