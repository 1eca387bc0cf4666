"""Overlapping textured shapes of all sizes on textured ground, in COCO's format.

    images/train_00000000.jpg
    annotations/instances_train.json, instances_val.json

As in COCO, category ids have gaps, boxes and areas are those of the visible parts, a crowd of small objects is one
annotation with a run-length mask, and some images are empty. A class is a shape with a texture; the same shape with
another texture is a distractor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinyint.extras.synthetic.drawing import photograph, textured
from tinyint.extras.synthetic.family import Family, Split, generator
from tinyint.extras.synthetic.shapes import SHAPES, Thing, outline, paint

__all__ = ["CATEGORY_IDS", "CLASSES", "Instance", "Scenes", "draw_scene"]

CLASSES = (
    ("disc", "plain"),
    ("disc", "striped"),
    ("square", "striped"),
    ("square", "checked"),
    ("triangle", "plain"),
    ("triangle", "dotted"),
    ("star", "checked"),
    ("cross", "dotted"),
)
_TEXTURES = ("plain", "striped", "checked", "dotted")
_DISTRACTORS = tuple((s, t) for s in SHAPES for t in _TEXTURES if (s, t) not in CLASSES)
CATEGORY_IDS = (1, 2, 3, 5, 6, 8, 9, 10)

_EMPTY, _CROWDED = 0.06, 0.1  # shares of the images
_SMALLEST, _LARGEST = 0.07, 0.65  # diameters of objects, relative to the image's longer side
_IN_CROWD = 0.04, 0.08
_LEAST_SEEN, _LEAST_PIXELS = 0.3, 30  # an object with a smaller visible part has no annotation
_QUALITY = 88  # of the JPEG files


@dataclass(frozen=True, eq=False)
class Instance:
    """Visible part of an object or crowd.

    `whole`: outline (n, 2) of a fully visible one.
    """

    label: int
    mask: NDArray[np.bool_]
    crowd: bool
    whole: NDArray[np.float64] | None


@dataclass(frozen=True)
class Scenes(Family):
    """Scenes of 8 classes; `size`: longer side of an image.

    The shorter is 70 to 100 % of it.
    """

    name: ClassVar[str] = "scenes"
    title: ClassVar[str] = "textured shapes of all sizes, some hidden, as COCO"
    task: ClassVar[str] = "detection"
    counts: ClassVar[tuple[int, int]] = (4_000, 1_000)
    least_size: ClassVar[int] = 96
    classes: ClassVar[tuple[str, ...]] = tuple(f"{texture} {shape}" for shape, texture in CLASSES)

    size: int = 320

    def prepare(self, root: Path) -> None:
        (root / "images").mkdir()
        (root / "annotations").mkdir()

    def write_sample(self, root: Path, seed: int, split: Split, index: int) -> dict[str, Any]:
        image, instances = draw_scene(generator(seed, split, index), self.size)
        file_name = f"{split}_{index:08}.jpg"
        image.save(root / "images" / file_name, quality=_QUALITY)
        return {
            "image": {"id": index + 1, "file_name": file_name, "width": image.width, "height": image.height},
            "annotations": [_annotation(instance) for instance in instances],
        }

    def write_list(self, root: Path, split: Split, samples: Sequence[dict[str, Any]]) -> None:
        pairs = [(sample["image"]["id"], entry) for sample in samples for entry in sample["annotations"]]
        document = {
            "info": {"description": "scenes of textured shapes, made by tinyint"},
            "licenses": [],
            "images": [sample["image"] for sample in samples],
            "annotations": [
                {"id": number, "image_id": image_id, **entry}
                for number, (image_id, entry) in enumerate(pairs, start=1)
            ],
            "categories": [
                {"id": number, "name": name, "supercategory": shape}
                for number, name, (shape, _) in zip(CATEGORY_IDS, self.classes, CLASSES, strict=True)
            ],
        }
        path = root / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(document), encoding="utf-8", newline="\n")


def draw_scene(rng: np.random.Generator, size: int = 320) -> tuple[Image.Image, list[Instance]]:
    """Scene whose longer side is `size`, and its instances."""
    height, width = _sides(rng, size)
    canvas = textured(rng, height, width)
    owner = np.full((height, width), -1)  # number of the thing that is visible at each pixel
    things = _things(rng, height, width)
    for number, thing in enumerate(things):
        canvas = paint(rng, canvas, owner, number, thing)
    instances = _visible(things, owner)
    return photograph(rng, canvas, blur=1.4, noise=0.07), instances


def _sides(rng: np.random.Generator, size: int) -> tuple[int, int]:
    shorter = int(size * rng.uniform(0.7, 1))
    return (size, shorter) if rng.random() < 0.3 else (shorter, size)


def _things(rng: np.random.Generator, height: int, width: int) -> list[Thing]:
    """Objects, distractors and perhaps a crowd, in random order from back to front."""
    things = [
        _thing(rng, height, width, *_DISTRACTORS[rng.integers(len(_DISTRACTORS))], label=None)
        for _ in range(rng.integers(0, 5))
    ]
    if rng.random() >= _EMPTY:
        for _ in range(rng.integers(1, 9)):
            label = int(rng.integers(len(CLASSES)))
            things.append(_thing(rng, height, width, *CLASSES[label], label=label))
    things = [things[i] for i in rng.permutation(len(things))]
    if rng.random() < _CROWDED and any(thing.label is not None for thing in things):
        things = _crowd(rng, height, width) + things
    return things


def _thing(
    rng: np.random.Generator, height: int, width: int, shape: str, texture: str, label: int | None
) -> Thing:
    longer = max(height, width)
    diameter = longer * float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    return Thing(shape, texture, label, False, outline(rng, shape, x, y, diameter), diameter)


def _crowd(rng: np.random.Generator, height: int, width: int) -> list[Thing]:
    label = int(rng.integers(len(CLASSES)))
    shape, texture = CLASSES[label]
    diameter = max(height, width) * rng.uniform(*_IN_CROWD)
    x, y = rng.uniform(0.2, 0.8, 2) * (width, height)
    places = rng.normal((x, y), 1.6 * diameter, (int(rng.integers(10, 25)), 2))
    return [
        Thing(shape, texture, label, True, outline(rng, shape, px, py, diameter), diameter)
        for px, py in places
    ]


def _visible(things: Sequence[Thing], owner: NDArray[np.int_]) -> list[Instance]:
    height, width = owner.shape
    instances = []
    for number, thing in enumerate(things):
        if thing.label is None or thing.crowd:
            continue
        mask = owner == number
        pixels, full = int(mask.sum()), thing.area()
        if pixels >= max(_LEAST_PIXELS, _LEAST_SEEN * full):
            inside = bool((thing.outline >= 0).all() and (thing.outline <= (width, height)).all())
            whole = thing.outline if inside and pixels >= 0.97 * full else None
            instances.append(Instance(thing.label, mask, False, whole))
    crowd = [number for number, thing in enumerate(things) if thing.crowd]
    mask = np.isin(owner, crowd)
    if mask.sum() >= _LEAST_PIXELS:
        label = things[crowd[0]].label
        assert label is not None
        instances.append(Instance(label, mask, True, None))
    return instances


def _annotation(instance: Instance) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(instance.mask.any(axis=axis)) for axis in (1, 0))
    x, y = int(columns[0]), int(rows[0])
    whole = instance.whole
    return {
        "category_id": CATEGORY_IDS[instance.label],
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(instance.mask.sum()),
        "iscrowd": int(instance.crowd),
        "segmentation": _run_lengths(instance.mask)
        if whole is None
        else [[round(float(value), 2) for value in whole.ravel()]],
    }


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Mask in COCO's uncompressed form: lengths of alternating runs of 0 and 1, down the columns."""
    pixels = mask.T.ravel()
    ends = np.flatnonzero(np.diff(pixels)) + 1
    counts = np.diff(np.concatenate(([0], ends, [len(pixels)])))
    leading: list[int] = [0] if pixels[0] else []
    return {"counts": leading + counts.tolist(), "size": list(mask.shape)}
