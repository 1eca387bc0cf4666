"""What a label can be: a class number, a mask of class numbers, or the boxes of an image; and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinyint.errors import DataError
from tinyint.numerics import Array

__all__ = ["Boxes", "Label", "Task", "require_task", "task_of_label"]

Task: TypeAlias = Literal["classification", "detection", "segmentation"]

_LABELS: dict[Task, str] = {
    "classification": "class numbers",
    "detection": "boxes",
    "segmentation": "label images",
}
_FORMS: dict[Task, str] = {
    "classification": "class folders, a list file ('path label' lines), or a .tsv table for texts",
    "detection": "FOLDER:instances.json (COCO)",
    "segmentation": "FOLDER:list.txt ('image label' lines, both image files), or a Cityscapes root, ROOT:val",
}


@dataclass(frozen=True, eq=False)
class Boxes:
    """The n objects of one image; n may be 0.

    * `boxes`: float32 (n, 4), x1, y1, x2, y2 in pixels of the original image; pixel 0 covers 0 to 1
    * `classes`: int64 (n,), from 0
    * `crowd`: bool (n,), whether a box stands for a group that cannot be told apart; neither a hit nor a miss
    * `areas`: float32 (n,), in pixels: of the object if it was annotated, else of the box; the metrics by size use it
    * `size`: (height, width) of the original image
    * `image_id`: what the annotation file calls the image
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float32]
    size: tuple[int, int]
    image_id: int

    def __post_init__(self) -> None:
        n = len(self.boxes)
        assert self.boxes.shape == (n, 4)
        assert self.classes.shape == self.crowd.shape == self.areas.shape == (n,)

    def __len__(self) -> int:
        return len(self.boxes)


# A class number; an array of labels, such as a mask (H, W) of class numbers; or the boxes of an image.
Label: TypeAlias = "int | Array | Boxes"


def task_of_label(label: Label | None) -> Task | None:
    """What such labels are for; None without a label, and for an array, which can be for anything."""
    if isinstance(label, Boxes):
        return "detection"
    return "classification" if isinstance(label, int) else None


def require_task(found: Task | None, wanted: Task, name: str) -> None:
    """Raises DataError when the labels of `name` are for another task than the model; None can be for any."""
    if found not in (None, wanted):
        assert found is not None
        raise DataError(
            f"{name} is labelled with {_LABELS[found]} ({found}), but the model is for {wanted}, which needs "
            f"{_LABELS[wanted]}: give {_FORMS[wanted]}"
        )
