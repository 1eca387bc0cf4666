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

_ROUNDED = 0.01  # COCO's own boxes leave their images by a hundredth of a pixel


@dataclass(frozen=True)
class CocoFile:
    """Images in the file's order, class names, and notes for the user."""

    files: list[ImageFile]
    classes: tuple[str, ...]
    notices: list[str]


def read_coco(path: Path, root: Path | None = None) -> CocoFile:
    """Images of a COCO file in the folder `root`.

    Looked for near the file if it is not given.

    Classes are numbered from 0 in the order of the categories' ids. A box that leaves its image is clipped; one that
    lies outside of it or has no area is left out; notices count both. A file without annotations gives images without
    labels. Raises DataError naming the file and the entry: no COCO file, an unknown category or image, a missing image.
    """
    found = _annotated(path, file_identity(path))
    folder = root or _find_images(path, found.images[0].name)
    files = []
    for image in found.images:
        if not os.path.isfile(folder / image.name):
            raise DataError(f"{path}, image id {image.key}: there is no image {image.name!r} in {folder}")
        files.append(ImageFile(folder / image.name, image.name, image.boxes))
    return CocoFile(files, found.classes, found.notices)


@dataclass(frozen=True)
class _Image:
    key: int
    name: str
    boxes: Boxes | None


@dataclass(frozen=True)
class _Annotated:
    images: list[_Image]
    classes: tuple[str, ...]
    notices: list[str]


@lru_cache(maxsize=2)
def _annotated(path: Path, identity: str) -> _Annotated:  # noqa: ARG001  the identity is there for the cache
    """What the file says. Kept, because a command opens its data several times, and the largest files take seconds."""
    reader = _Reader(path, _parse(path))
    images = reader.images()
    boxes = reader.boxes(images) if "annotations" in reader.content else [None] * len(images)
    named = zip(images.items(), boxes, strict=True)
    return _Annotated(
        [_Image(key, image["file_name"], own) for (key, image), own in named],
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
    """The entries of a file, checked as they are read."""

    path: Path
    content: Mapping[str, Any]
    classes: tuple[str, ...] = field(init=False)
    clipped: int = 0
    dropped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = {}
        for entry in self._entries("categories", {"id": int, "name": str}):
            found[entry["id"]] = entry["name"]
        self.labels = {key: label for label, key in enumerate(sorted(found))}
        self.classes = tuple(found[key] for key in self.labels)

    def images(self) -> dict[int, Mapping[str, Any]]:
        wanted = {"id": int, "file_name": str, "width": int, "height": int}
        found = {entry["id"]: entry for entry in self._entries("images", wanted)}
        for key, image in found.items():
            if image["width"] < 1 or image["height"] < 1:
                size = f"{image['width']}×{image['height']}"
                raise DataError(f"{self.path}, image id {key}: the image is said to be {size} (width×height)")
        return found

    def boxes(self, images: Mapping[int, Mapping[str, Any]]) -> list[Boxes]:
        """The boxes of each image."""
        rows: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        wanted = {"id": int, "image_id": int, "category_id": int, "bbox": list}
        for entry in self._entries("annotations", wanted):
            where = f"{self.path}, annotation id {entry['id']}"
            if entry["image_id"] not in images:
                raise DataError(f"{where}: there is no image with the id {entry['image_id']}")
            if entry["category_id"] not in self.labels:
                known = nearest(str(entry["category_id"]), map(str, self.labels))
                raise DataError(f"{where}: there is no category with the id {entry['category_id']}; {known}")
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
        """x1, y1, x2, y2 within the image, or None if nothing of the box is left there."""
        if len(bbox) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in bbox):
            raise DataError(f"{where}: bbox is {bbox}; expected four numbers: x, y, width, height")
        x, y, width, height = bbox
        limits = (image["width"], image["height"])
        x1, x2 = min(max(x, 0), limits[0]), min(max(x + width, 0), limits[0])
        y1, y2 = min(max(y, 0), limits[1]), min(max(y + height, 0), limits[1])
        if width <= 0 or height <= 0 or x2 <= x1 or y2 <= y1:
            self.dropped.append(f"annotation id {where.rsplit(' ', 1)[1]}, {bbox}")
            return None
        left = max(-x, -y, x + width - limits[0], y + height - limits[1])
        self.clipped += left > _ROUNDED
        return x1, y1, x2, y2

    def notices(self) -> list[str]:
        found = []
        if self.dropped:
            found.append(
                f"{len(self.dropped)} boxes of {self.path} have no area, or lie outside their image, and are left out "
                f"({self.dropped[0]}{', …' if len(self.dropped) > 1 else ''})"
            )
        if self.clipped:
            found.append(f"{self.clipped} boxes of {self.path} leave their image and are clipped to it")
        return found

    def _entries(self, key: str, wanted: Mapping[str, type]) -> Iterable[Mapping[str, Any]]:
        """The dictionaries of a list, each with the fields that are wanted, and an id of its own."""
        entries = self.content.get(key, [])
        for number, entry in enumerate(entries):
            for name, kind in wanted.items():
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
    """The folder that the first image lies in. Raises DataError naming the places."""
    split = path.stem.rpartition("_")[2]
    near, above = path.parent, path.parent.parent
    places = [near, near / "images", near / split, above / "images", above / split, above / "images" / split]
    for place in places:
        if os.path.isfile(place / first):
            return place
    looked = ", ".join(map(str, places))
    raise DataError(
        f"the first image of {path}, {first!r}, is in none of {looked}: name its folder, FOLDER:{path.name}"
    )
