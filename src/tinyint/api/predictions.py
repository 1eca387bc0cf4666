"""The outputs for one sample, read as its task says: as JSON values and, where there is an image, as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyint.data import Sample
from tinyint.errors import DataError
from tinyint.numerics import Array
from tinyint.tasks import Classification, Detection, Segmentation, TaskInfo
from tinyint.tasks.pictures import draw_bars, draw_boxes, draw_mask, mask_image, resized
from tinyint.tasks.scoring.classification import logits_of
from tinyint.tasks.scoring.segmentation import class_map
from tinyint.tasks.tails import Detections, Postprocessing, detections_of
from tinyint.tasks.tails.detections import image_size

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Prediction", "Seen", "read_prediction"]

_SHOWN = 5  # classes of a classifier


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A sample, and for an image file what a picture is drawn on: the upright image, cropped if the input is."""

    sample: Sample
    image_id: int
    image: Image.Image | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """`entries` of the JSON file; `picture`: the image with what was seen in it; `mask`: the class of each pixel."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    picture: Image.Image | None = None
    mask: Image.Image | None = None


def read_prediction(
    seen: Seen,
    outputs: Mapping[str, Array],
    info: TaskInfo,
    present: Postprocessing | None,
    score_threshold: float,
) -> Prediction:
    """Raises ModelError for outputs that do not go with the task, DataError for a sample of several images."""
    match info:
        case Classification():
            return _classes(seen, outputs, info, present)
        case Segmentation():
            return _pixels(seen, outputs, info)
        case Detection():
            return _boxes(seen, outputs, info, score_threshold)


def _classes(
    seen: Seen, outputs: Mapping[str, Array], info: Classification, present: Postprocessing | None
) -> Prediction:
    """The likeliest class, its probability, and the next ones."""
    logits = _one(logits_of(outputs, seen.sample.name), seen)
    probabilities = logits if present == "softmax" else _softmax(logits)
    order = np.argsort(-probabilities, kind="stable")[:_SHOWN]
    top = [(int(c), info.name_of(int(c)), float(probabilities[c])) for c in order]
    entry = {
        "file_name": seen.sample.name,
        "class": top[0][0],
        "name": top[0][1],
        "probability": top[0][2],
        "top": [{"class": number, "name": name, "probability": p} for number, name, p in top],
    }
    return Prediction(entries=[entry], picture=None if seen.image is None else draw_bars(seen.image, top))


def _pixels(seen: Seen, outputs: Mapping[str, Array], info: Segmentation) -> Prediction:
    """The class of each pixel, at the size of the image, and the share of each class."""
    maps, columns = class_map(outputs, seen.sample.name)
    mask = _one(maps, seen)
    classes = columns or len(info.classes or ()) or int(mask.max()) + 1
    if seen.image is not None:
        mask = resized(mask, seen.image.size)
    shares = np.bincount(mask.reshape(-1), minlength=classes) / mask.size
    entry = {
        "file_name": seen.sample.name,
        "shares": {info.name_of(c): float(share) for c, share in enumerate(shares) if share},
    }
    return Prediction(
        entries=[entry],
        mask=mask_image(mask),
        picture=None if seen.image is None else draw_mask(seen.image, mask, info, classes),
    )


def _boxes(seen: Seen, outputs: Mapping[str, Array], info: Detection, threshold: float) -> Prediction:
    """A row for each box, in the form of COCO's results; `category_id` counts the classes from 0."""
    size = seen.image.size[::-1] if seen.image is not None else image_size(seen.sample.inputs)
    found = detections_of(outputs, seen.sample.inputs, size, seen.sample.name)
    sure = found.scores >= threshold
    found = Detections(boxes=found.boxes[sure], classes=found.classes[sure], scores=found.scores[sure])
    found = found.best(len(found.scores))
    entries = []
    for box, number, score in zip(
        found.boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True
    ):
        x1, y1, x2, y2 = box
        entry = {"image_id": seen.image_id, "file_name": seen.sample.name, "category_id": number}
        entry |= {"name": info.name_of(number), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        entries.append(entry)
    return Prediction(
        entries=entries, picture=None if seen.image is None else draw_boxes(seen.image, found, info)
    )


def _one(batch: Array, seen: Seen) -> Array:
    if len(batch) != 1:
        raise DataError(
            f"{seen.sample.name} holds {len(batch)} images, but pictures are made of one at a time: export the model "
            "with an open batch axis"
        )
    return np.asarray(batch[0])


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())
