"""Images with boxes from a COCO annotation file (https://cocodataset.org/#format-data, "Object Detection")."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tinyint.data.images import file_identity
from tinyint.data.labels import Boxes
from tinyint.data.picture import ImageFile
from tinyint.errors import DataError, nearest

__all__ = ["CocoFile", "read_coco"]

_ROUNDING = 0.01  # COCO's own boxes reach beyond their images by a hundredth of a pixel


@dataclass(frozen=True)
class CocoFile:
    """Images in the file's order, class names, and notes for the user."""

    files: list[ImageFile]
    classes: tuple[str, ...]
    notices: list[str]


def read_coco(path: Path, root: Path | None = None) -> CocoFile:
    """Images of a COCO file.

    Without `root`, their folder is searched for near the file. Classes are numbered from 0 in the order of the
    categories' ids. A box that reaches beyond its image is clipped; one outside of it, or without area, is left out.
    Notices count both. Without annotations, the images have no labels. Raises DataError, with the file and the entry,
    if it is not a COCO file, refers to an unknown category or image, or if an image is missing.
    """
    annotations = _read_annotations(path, file_identity(path))
    folder = root or _find_images(path, annotations.images[0].name)
    files = []
    for image in annotations.images:
        if not os.path.isfile(folder / image.name):
            raise DataError(f"{path}, image id {image.key}: there is no image {image.name!r} in {folder}")
        files.append(ImageFile(folder / image.name, image.name, image.boxes))
    return CocoFile(files, annotations.classes, annotations.notices)


@dataclass(frozen=True)
class _Image:
    key: int
    name: str
    boxes: Boxes | None


@dataclass(frozen=True)
class _Annotations:
    images: list[_Image]
    classes: tuple[str, ...]
    notices: list[str]


@lru_cache(maxsize=2)
def _read_annotations(path: Path, identity: str) -> _Annotations:  # noqa: ARG001  part of the cache's key
    """Content of the file.

    It is cached: a command opens its data several times, and a large file takes seconds.
    """
    reader = _Reader(path, _parse(path))
    images = reader.images()
    boxes = reader.boxes(images) if "annotations" in reader.content else [None] * len(images)
    pairs = zip(images.items(), boxes, strict=True)
    return _Annotations(
        [_Image(key, image["file_name"], own) for (key, image), own in pairs],
        reader.classes,
        reader.notices(),
    )


def _parse(path: Path) -> Mapping[str, Any]:
    def without_outlines(entry: dict[str, Any]) -> dict[str, Any]:  # the bulk of the file, and not needed
        entry.pop("segmentation", None)
        return entry

    try:
        content = json.loads(path.read_bytes(), object_hook=without_outlines)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no valid JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DataError(f"{path} is no COCO file: it has no list `images` (nor `annotations`, `categories`)")
    if not content["images"]:
        raise DataError(f"{path} lists no images")
    for key in ("annotations", "categories"):
        if not isinstance(content.get(key, []), list):
            raise DataError(f"{path} is no COCO file: `{key}` is a {type(content[key]).__name__}, not a list")
    return content


@dataclass
class _Reader:
    """Entries of a file, checked as they are read."""

    path: Path
    content: Mapping[str, Any]
    classes: tuple[str, ...] = field(init=False)
    clipped: int = 0
    dropped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = {}
        for entry in self._entries("categories", {"id": int, "name": str}):
            names[entry["id"]] = entry["name"]
        self.labels = {key: label for label, key in enumerate(sorted(names))}
        self.classes = tuple(names[key] for key in self.labels)

    def images(self) -> dict[int, Mapping[str, Any]]:
        fields = {"id": int, "file_name": str, "width": int, "height": int}
        images = {entry["id"]: entry for entry in self._entries("images", fields)}
        for key, image in images.items():
            if image["width"] < 1 or image["height"] < 1:
                size = f"{image['width']}×{image['height']}"
                raise DataError(f"{self.path}, image id {key}: the image is said to be {size} (width×height)")
        return images

    def boxes(self, images: Mapping[int, Mapping[str, Any]]) -> list[Boxes]:
        """Boxes of each image, in the images' order."""
        rows: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        fields = {"id": int, "image_id": int, "category_id": int, "bbox": list}
        for entry in self._entries("annotations", fields):
            where = f"{self.path}, annotation id {entry['id']}"
            if entry["image_id"] not in images:
                raise DataError(f"{where}: there is no image with the id {entry['image_id']}")
            if entry["category_id"] not in self.labels:
                hint = nearest(str(entry["category_id"]), map(str, self.labels))
                raise DataError(f"{where}: there is no category with the id {entry['category_id']}; {hint}")
            image = images[entry["image_id"]]
            box = self._box(entry["bbox"], image, where)
            if box is not None:
                width, height = box[2] - box[0], box[3] - box[1]
                area = entry.get("area") or width * height
                if isinstance(area, bool) or not isinstance(area, int | float) or not 0 <= area < math.inf:
                    raise DataError(f"{where}: area is {str(area)[:60]}; expected a number of pixels")
                if entry.get("iscrowd", 0) not in (0, 1):
                    raise DataError(f"{where}: iscrowd is {str(entry['iscrowd'])[:60]}; expected 0 or 1")
                label = self.labels[entry["category_id"]]
                rows[image["id"]].append((box, label, bool(entry.get("iscrowd", 0)), float(area)))
        return [_boxes(rows[key], image) for key, image in images.items()]

    def _box(self, bbox: list[Any], image: Mapping[str, Any], where: str) -> tuple[float, ...] | None:
        """x1, y1, x2, y2 of the box clipped to its image.

        None if nothing is left.
        """
        if len(bbox) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in bbox):
            raise DataError(f"{where}: bbox is {bbox}; expected four numbers: x, y, width, height")
        x, y, width, height = bbox
        limits = (image["width"], image["height"])
        x1, x2 = min(max(x, 0), limits[0]), min(max(x + width, 0), limits[0])
        y1, y2 = min(max(y, 0), limits[1]), min(max(y + height, 0), limits[1])
        if width <= 0 or height <= 0 or x2 <= x1 or y2 <= y1:
            self.dropped.append(f"annotation id {where.rsplit(' ', 1)[1]}, {bbox}")
            return None
        excess = max(-x, -y, x + width - limits[0], y + height - limits[1])
        self.clipped += excess > _ROUNDING
        return x1, y1, x2, y2

    def notices(self) -> list[str]:
        notes = []
        if self.dropped:
            notes.append(
                f"{len(self.dropped)} boxes of {self.path} have no area, or lie outside their image, and are left out "
                f"({self.dropped[0]}{', …' if len(self.dropped) > 1 else ''})"
            )
        if self.clipped:
            notes.append(f"{self.clipped} boxes of {self.path} leave their image and are clipped to it")
        return notes

    def _entries(self, key: str, fields: Mapping[str, type]) -> Iterable[Mapping[str, Any]]:
        """Dictionaries of a list, checked to have these fields, and ids that differ."""
        entries = self.content.get(key, [])
        for number, entry in enumerate(entries):
            for name, kind in fields.items():
                value = entry.get(name) if isinstance(entry, dict) else None
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise DataError(
                        f"{self.path} is no COCO file: {key}[{number}] has no {name!r} of type {kind.__name__} "
                        f"(got {value!r})"
                    )
        most = Counter(entry["id"] for entry in entries).most_common(1)
        if most and most[0][1] > 1:
            raise DataError(f"{self.path}: {most[0][1]} entries of {key} have the id {most[0][0]}")
        return list(entries)


def _boxes(rows: list[tuple[Any, ...]], image: Mapping[str, Any]) -> Boxes:
    boxes, classes, crowd, areas = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Boxes(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(classes, np.int64),
        crowd=np.array(crowd, bool),
        areas=np.array(areas, np.float32),
        size=(image["height"], image["width"]),
        image_id=image["id"],
    )


def _find_images(path: Path, first: str) -> Path:
    """Folder with the first image; raises DataError with the folders that were searched."""
    split = path.stem.rpartition("_")[2]
    near, above = path.parent, path.parent.parent
    folders = [near, near / "images", near / split, above / "images", above / split, above / "images" / split]
    for folder in folders:
        if os.path.isfile(folder / first):
            return folder
    listed = ", ".join(map(str, folders))
    raise DataError(
        f"the first image of {path}, {first!r}, is in none of {listed}: name its folder, FOLDER:{path.name}"
    )
