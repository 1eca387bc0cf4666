"""Kinds of labels: class number, mask of class numbers, or boxes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinyint.numbers.numerics import Array

__all__ = ["Boxes", "Label", "LabelKind"]


class LabelKind(StrEnum):
    """Kind of labels that data have, or that training for a task needs."""

    CLASS = "class numbers"
    BOXES = "boxes"
    MASK = "label images"

    @property
    def forms(self) -> str:
        """Forms of data with such labels."""
        return _FORMS[self]

    @classmethod
    def of(cls, label: Label | None) -> LabelKind | None:
        """Kind of a label.

        None without one, and for an array: class numbers, or a mask.
        """
        if isinstance(label, Boxes):
            return cls.BOXES
        return cls.CLASS if isinstance(label, int) else None


_FORMS = {
    LabelKind.CLASS: "class folders, a list file ('path label' lines), or a .tsv table for texts",
    LabelKind.BOXES: "FOLDER:instances.json (COCO)",
    LabelKind.MASK: "FOLDER:list.txt ('image label' lines, both image files), or a Cityscapes root, ROOT:val",
}


@dataclass(frozen=True, eq=False)
class Boxes:
    """The n objects of one image; n may be 0.

    * `boxes`: float32 (n, 4), x1, y1, x2, y2 in pixels of the original image; pixel 0 covers 0 to 1
    * `classes`: int64 (n,), from 0
    * `crowd`: bool (n,), whether a box is for a group of objects; it counts neither as a hit nor as a miss
    * `areas`: float32 (n,), in pixels, for metrics by size: of the object if annotated, else of the box
    * `size`: (height, width) of the original image
    * `image_id`: id of the image in the annotation file
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
