"""Sections after the records: values of the pixels, labels, names, declaration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyint.data.datafile.layout import Header, Shape
from tinyint.data.labels import Boxes, LabelKind
from tinyint.data.picture import ImageFile
from tinyint.data.preprocess import Preprocessing
from tinyint.errors import DataError

__all__ = ["Contents", "pack_sections", "unpack_sections"]

_CLASS = np.dtype("<i8")
_IMAGE = np.dtype([("boxes", "<u4"), ("height", "<u4"), ("width", "<u4"), ("zero", "<u4"), ("id", "<i8")])
_BOX = np.dtype([("box", "<f4", 4), ("area", "<f4"), ("crowd", "<u4"), ("class", "<i8")])


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Sections as read.

    * `labels`: by sample; None without labels, and for label images, which are in the records
    * `preprocessing`: declaration of the images, all of it or, of pixels, what is still to be done as well
    """

    labels: Sequence[int | Boxes] | None
    names: Sequence[str]
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None


def pack_sections(
    shape: Shape,
    files: Sequence[ImageFile],
    preprocessing: Preprocessing,
    classes: Sequence[str] | None,
) -> dict[str, bytes]:
    """Sections of these images, by name."""
    labels: Sequence[Any] = [file.label for file in files]
    if shape.labels is LabelKind.CLASS:
        packed = np.array(labels, _CLASS).tobytes()
    else:
        packed = _pack_boxes(labels) if shape.labels is LabelKind.BOXES else b""
    values = (
        preprocessing.table(np.dtype("float32")).astype("<f4").tobytes() if shape.values == "uint8" else b""
    )
    declared = {"preprocessing": preprocessing.model_dump(mode="json"), "classes": classes}
    return {
        "values": values,
        "labels": packed,
        "names": json.dumps([file.name for file in files]).encode(),
        "description": json.dumps(declared).encode(),
    }


def unpack_sections(header: Header, sections: dict[str, bytes], path: Path) -> Contents:
    """Contents of sections whose checksums hold.

    Raises DataError for what no writer of such files writes.
    """
    try:
        names = json.loads(sections["names"])
        declared = json.loads(sections["description"])
        classes = declared["classes"]
        if len(names) != header.samples or not all(
            isinstance(name, str) for name in (*names, *(classes or ()))
        ):
            raise ValueError(f"{len(names)} names of {header.samples} samples")
        preprocessing = Preprocessing.parse(declared["preprocessing"], f"{path}, its preprocessing")
        if Shape.of(preprocessing, header.shape.values, header.shape.labels) != header.shape:
            raise ValueError("the declaration is of other images than the header")
        labels = _unpack_labels(header, sections["labels"])
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise DataError(f"{path} is no data file as `tinyint preprocess` writes it: {error}") from None
    return Contents(
        labels=labels,
        names=names,
        preprocessing=preprocessing,
        classes=None if classes is None else tuple(classes),
    )


def _unpack_labels(header: Header, content: bytes) -> Sequence[int | Boxes] | None:
    kind = header.shape.labels
    if kind is LabelKind.CLASS:
        labels: list[int] = np.frombuffer(content, _CLASS).tolist()
        if len(labels) != header.samples:
            raise ValueError(f"{len(labels)} labels of {header.samples} samples")
        return labels
    return _unpack_boxes(content, header.samples) if kind is LabelKind.BOXES else None


def _pack_boxes(labels: Sequence[Boxes]) -> bytes:
    images, rows = np.zeros(len(labels), _IMAGE), np.zeros(sum(map(len, labels)), _BOX)
    start = 0
    for i, label in enumerate(labels):
        images[i] = (len(label), *label.size, 0, label.image_id)
        own = rows[start : start + len(label)]
        own["box"], own["area"], own["crowd"], own["class"] = (
            label.boxes,
            label.areas,
            label.crowd,
            label.classes,
        )
        start += len(label)
    return images.tobytes() + rows.tobytes()


def _unpack_boxes(content: bytes, samples: int) -> list[Boxes]:
    images = np.frombuffer(content, _IMAGE, count=samples)
    rows = np.frombuffer(content, _BOX, offset=images.nbytes)
    ends = np.cumsum(images["boxes"], dtype=np.int64)
    if ends[-1] != len(rows):
        raise ValueError(f"{len(rows)} boxes, but {ends[-1]} by their images")
    labels: list[Boxes] = []
    for image, end in zip(images, ends.tolist(), strict=True):
        own = rows[end - int(image["boxes"]) : end]
        label = Boxes(
            boxes=own["box"].astype(np.float32),
            classes=own["class"].astype(np.int64),
            crowd=own["crowd"] != 0,
            areas=own["area"].astype(np.float32),
            size=(int(image["height"]), int(image["width"])),
            image_id=int(image["id"]),
        )
        labels.append(label)
    return labels
