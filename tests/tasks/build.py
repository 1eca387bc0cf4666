"""A network and image files for each task, so simple that what is right can be said by hand.

Images are areas of red, green and blue. The classifier says which there is most of, the segmenter which a pixel is, the
detector finds squares of red (class 0) or blue (class 1) that fill a cell of its 2 × 2 grid.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
from PIL import Image

from tests.graph.build import build
from tinyint.data import Preprocessing
from tinyint.graph.io import save_model
from tinyint.tasks import Classification, Detection, Segmentation, Task

SIDE = 64
NAMES = ("red", "green", "blue")
CLASSIFIER = Classification(classes=NAMES)
SEGMENTER = Segmentation(classes=NAMES)
DETECTOR = Detection(classes=("red", "blue"), anchors=(((32, 32),),), strides=(32,))


def classifier() -> ir.Model:
    return _declared(
        build(
            """
            g (float[N,3,64,64] x) => (float[N,3] logits) {
              a = Conv (x, w)  b = Relu (a)  c = GlobalAveragePool (b)  d = Flatten (c)  logits = Gemm (d, v)
            }
            """,
            w=np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
            v=8 * np.eye(3, dtype=np.float32),
        ),
        CLASSIFIER,
    )


def segmenter() -> ir.Model:
    return _declared(
        build(
            """
            g (float[N,3,64,64] x) => (float[N,3,64,64] logits) {
              a = Conv (x, w)  b = Relu (a)  logits = Conv (b, v)
            }
            """,
            w=np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
            v=8 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
        ),
        SEGMENTER,
    )


def detector(noise: float = 0.0) -> ir.Model:
    """With noise, some of its scores are wrong."""
    weight = np.zeros((7, 3, 32, 32), np.float32)
    weight[4, [0, 2]] = 20 / 1024  # objectness: how red or blue a cell is
    weight[5, 0] = weight[6, 2] = 20 / 1024
    weight += noise * np.random.default_rng(0).normal(size=weight.shape).astype(np.float32) / 1024
    bias = np.array([0, 0, 0, 0, -10, -10, -10], np.float32)
    text = "g (float[N,3,64,64] x) => (float[N,7,2,2] head_0) { head_0 = Conv <strides=[32,32]> (x, w, b) }"
    return _declared(build(text, w=weight, b=bias), DETECTOR)


def class_folders(root: Path, count: int = 4) -> Path:
    """root/0_red/…, `count` images each."""
    for number, name in enumerate(NAMES):
        (root / f"{number}_{name}").mkdir(parents=True)
        for i in range(count):
            pixels = np.zeros((48, 40, 3), np.uint8)
            pixels[8 * i :, :, number] = 255  # never less than half of it
            Image.fromarray(pixels).save(root / f"{number}_{name}" / f"{i}.png")
    return root


def label_list(root: Path, count: int = 4) -> Path:
    """root/list.txt with `image label` lines; the second half of each row is blue, its first pixel row is ignored."""
    root.mkdir(parents=True)
    lines = []
    for i in range(count):
        label = np.full((SIDE, SIDE), i % 2, np.uint8)
        label[:, SIDE // 2 :] = 2
        Image.fromarray(255 * np.eye(3, dtype=np.uint8)[label]).save(root / f"{i}.png")
        label[0] = 255
        Image.fromarray(label).save(root / f"{i}_label.png")
        lines.append(f"{i}.png {i}_label.png")
    (root / "list.txt").write_text("\n".join(lines))
    return root / "list.txt"


def coco(root: Path, count: int = 6) -> Path:
    """root/instances.json beside images of 96 × 128, of which a cell is 48 × 64; the last one is empty."""
    root.mkdir(parents=True)
    images, annotations = [], []
    for i in range(count):
        pixels = np.zeros((96, 128, 3), np.uint8)
        images.append({"id": 10 + i, "file_name": f"{10 + i}.png", "height": 96, "width": 128})
        for row, column, kind in (((i // 2) % 2, i % 2, 0), ((i // 2 + 1) % 2, 0, 1)):
            if i == count - 1:
                continue
            pixels[48 * row : 48 * (row + 1), 64 * column : 64 * (column + 1), 2 * kind] = 255
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 + i,
                    "category_id": kind + 1,
                    "bbox": [64 * column, 48 * row, 64, 48],
                    "area": 64 * 48,
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(root / f"{10 + i}.png")
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    file = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(file))
    return root / "instances.json"


def saved(model: ir.Model, path: Path) -> Path:
    save_model(model, path)
    return path


DATA = {"classification": "images", "segmentation": "pixels/list.txt", "detection": "boxes/instances.json"}


def every_task(root: Path) -> dict[str, Path]:
    """The float model of each task in `root`, with its data at `DATA`."""
    class_folders(root / "images")
    label_list(root / "pixels")
    coco(root / "boxes")
    makers = {"classification": classifier, "segmentation": segmenter, "detection": detector}
    return {task: saved(make(), root / f"{task}.onnx") for task, make in makers.items()}


def _declared(model: ir.Model, info: Task) -> ir.Model:
    model.metadata_props.update(info.to_metadata())
    model.metadata_props.update(Preprocessing(resize=(SIDE, SIDE)).to_metadata())
    return model
