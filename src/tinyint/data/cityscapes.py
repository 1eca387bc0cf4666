"""The Cityscapes layout, and its 19 classes (https://www.cityscapes-dataset.com, labels.py of cityscapesScripts).

ROOT/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png
ROOT/gtFine/SPLIT/CITY/NAME_gtFine_labelTrainIds.png, or NAME_gtFine_labelIds.png
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyint.data.picture import ImageFile, MaskFile
from tinyint.errors import DataError, nearest

__all__ = ["CLASSES", "IGNORED", "is_cityscapes", "read_cityscapes"]

IGNORED = 255
# Name of each class, and its number in labelIds files. The other numbers from 0 to 33 are ignored.
_IDS = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
CLASSES = tuple(_IDS)
_IMAGES, _LABELS = "leftImg8bit", "gtFine"


def _train_ids() -> NDArray[np.int16]:
    table = np.full(256, -1, np.int16)
    table[:34] = IGNORED
    table[list(_IDS.values())] = range(len(_IDS))
    table[255] = IGNORED  # the license plate, -1, in 8 bits
    return table


def _same_ids() -> NDArray[np.int16]:
    table = np.full(256, -1, np.int16)
    table[[*range(len(_IDS)), IGNORED]] = [*range(len(_IDS)), IGNORED]
    return table


_KINDS = {"labelTrainIds": _same_ids(), "labelIds": _train_ids()}


def is_cityscapes(root: Path) -> bool:
    return os.path.isdir(root / _IMAGES)


def read_cityscapes(root: Path, split: str) -> list[ImageFile]:
    """Images of a split, with their label images if there are any.

    The images alternate between the cities, so that any leading part of the data covers all cities. Raises DataError if
    there is no such split, or if only some images have a label image.
    """
    folder = root / _IMAGES / split
    if not split or not os.path.isdir(folder):
        splits = sorted(path.name for path in (root / _IMAGES).iterdir() if os.path.isdir(path))
        raise DataError(
            f"{root} is in the layout of Cityscapes, and has no split {split!r}: {nearest(split, splits)}; name it: "
            f"{root}:{splits[0] if splits else 'val'}"
        )
    images = _images(folder)
    for kind, ids in _KINDS.items():
        masks = [_mask(split, image, kind) for image in images]
        found = [os.path.isfile(root / mask) for mask in masks]
        if all(found):
            named = zip(images, masks, strict=True)
            return [ImageFile(i, _name(root, i), MaskFile(root / m, m, ids)) for i, m in named]
        if any(found):
            raise DataError(
                f"{images[found.index(False)]} has no label image {root / masks[found.index(False)]}"
            )
    return [ImageFile(image, _name(root, image)) for image in images]


def _images(folder: Path) -> list[Path]:
    """Images of all cities: the first of each, the second of each, …"""
    cities = [
        sorted(city.glob(f"*_{_IMAGES}.png")) for city in sorted(folder.iterdir()) if os.path.isdir(city)
    ]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*cities))
    images = [image for image in turns if image is not None]
    if not images:
        raise DataError(f"there are no images CITY/*_{_IMAGES}.png in {folder}")
    return images


def _mask(split: str, image: Path, kind: str) -> str:
    stem = image.name.removesuffix(f"_{_IMAGES}.png")
    return os.path.join(_LABELS, split, image.parent.name, f"{stem}_{_LABELS}_{kind}.png")


def _name(root: Path, image: Path) -> str:
    return str(image.relative_to(root))
