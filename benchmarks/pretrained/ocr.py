"""PP-OCRv4: detection, recognition and direction classifier, as deployed in `rapidocr-onnxruntime`.

The ONNX files are taken out of the package's wheel; nothing of it is imported. Text is rendered by a seeded generator.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from PIL import Image
from pretrained.network import Array, Samples, rows
from pretrained.texts import background, degraded, draw_text, line, phrase, pixels
from scipy import ndimage

__all__ = ["Classifier", "Detector", "Recognizer"]

WHEEL = "rapidocr-onnxruntime==1.4.4"
Box: TypeAlias = tuple[float, float, float, float]


def _network(file: str, folder: Path) -> Path:
    """File of the wheel, in `folder`."""
    path = folder / file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(folder),
            WHEEL,
        ]
        subprocess.run(command, check=True)
        (wheel,) = folder.glob("rapidocr_onnxruntime-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            path.write_bytes(archive.read(f"rapidocr_onnxruntime/models/{file}"))
    return path


def _fitted(image: Image.Image, width: int, height: int) -> Array:
    """(1, 3, height, width), of the line in its proportions; zeros after it."""
    taken = min(width, max(1, round(image.width * height / image.height)))
    feed = np.zeros((1, 3, height, width), np.float32)
    feed[0, :, :, :taken] = pixels(image.resize((taken, height), Image.Resampling.BILINEAR))
    return feed


class Recognizer:
    """Text of a line: CNN and attention, 6,625 characters."""

    name = "ppocr_v4_rec"
    width, height = 320, 48
    _path: Path

    def export(self, folder: Path) -> Path:
        self._path = _network("ch_PP-OCRv4_rec_infer.onnx", folder)
        return self._path

    def samples(self, count: int, seed: int) -> Samples:
        random = np.random.default_rng(seed)
        lines = [line(random) for _ in range(count)]
        feeds = [{"x": _fitted(each.image, self.width, self.height)} for each in lines]
        return Samples(feeds, [each.text for each in lines])

    @cached_property
    def _characters(self) -> list[str]:
        metadata = {entry.key: entry.value for entry in onnx.load(self._path).metadata_props}
        return ["", *metadata["character"].splitlines(), " "]

    def read(self, output: Array) -> str:
        """Greedy CTC decoding of (1, T, 6625)."""
        best = output[0].argmax(axis=-1)
        changes = np.concatenate([[True], best[1:] != best[:-1]])
        return "".join(self._characters[i] for i in best[changes & (best != 0)]).strip()

    def metrics(
        self, samples: Samples, expected: Sequence[Array], outputs: Sequence[Array]
    ) -> dict[str, Array]:
        read = [self.read(output) for output in outputs]
        as_float = [self.read(output) for output in expected]
        return {
            "exact": np.array([a == b for a, b in zip(read, samples.truth, strict=True)]),
            "characters": np.array([_likeness(a, b) for a, b in zip(read, samples.truth, strict=True)]),
            "as float": np.array([a == b for a, b in zip(read, as_float, strict=True)]),
        }


def _likeness(a: str, b: str) -> float:
    """1 - edit distance / length of the true text, at least 0."""
    row = np.arange(len(b) + 1)
    for i, letter in enumerate(a, 1):
        previous, row = row, row.copy()
        row[0] = i
        for j, other in enumerate(b, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != other))
    return max(0.0, 1 - float(row[-1]) / max(1, len(b)))


class Classifier:
    """Whether a line stands on its head."""

    name = "ppocr_cls"
    width, height = 192, 48

    def export(self, folder: Path) -> Path:
        return _network("ch_ppocr_mobile_v2.0_cls_infer.onnx", folder)

    def samples(self, count: int, seed: int) -> Samples:
        random = np.random.default_rng(seed)
        feeds, truth = [], []
        for _ in range(count):
            image, turned = line(random).image, bool(random.random() < 0.5)
            image = image.rotate(180) if turned else image
            feeds.append({"x": _fitted(image, self.width, self.height)})
            truth.append(int(turned))
        return Samples(feeds, truth)

    def metrics(
        self, samples: Samples, expected: Sequence[Array], outputs: Sequence[Array]
    ) -> dict[str, Array]:
        found, as_float = rows(outputs).argmax(1), rows(expected).argmax(1)
        return {"right": found == np.array(samples.truth), "as float": found == as_float}


class Detector:
    """Where on a page there is text: HardSwish, squeeze and excite, transposed convolutions."""

    name = "ppocr_v4_det"
    side = 480
    _mean, _std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def export(self, folder: Path) -> Path:
        return _network("ch_PP-OCRv4_det_infer.onnx", folder)

    def samples(self, count: int, seed: int) -> Samples:
        random = np.random.default_rng(seed)
        pages = [self._page(random) for _ in range(count)]
        return Samples([{"x": self._feed(image)} for image, _ in pages], [boxes for _, boxes in pages])

    def _page(self, random: np.random.Generator) -> tuple[Image.Image, list[Box]]:
        """Lines of text that do not touch, on paper with light from a side."""
        paper = tuple(map(int, random.integers(120, 256, 3)))
        page, boxes = background(random, (self.side, self.side), paper), list[Box]()
        for _ in range(int(random.integers(4, 14))):
            ink = tuple(map(int, random.integers(0, 110, 3)))
            mask, (width, height) = draw_text(random, phrase(random), int(random.integers(10, 42)))
            if width >= self.side or height >= self.side:
                continue
            left, top = int(random.integers(self.side - width)), int(random.integers(self.side - height))
            box = (left, top, left + width, top + height)
            if any(_intersection(box, other) > 0 for other in boxes):
                continue
            page.paste(Image.new("RGB", (width, height), ink), (left, top), mask)
            inner = mask.getbbox()
            assert inner is not None
            boxes.append((left + inner[0], top + inner[1], left + inner[2], top + inner[3]))
        return degraded(random, page, strength=0.5), boxes

    def _feed(self, image: Image.Image) -> Array:
        array = np.asarray(image.convert("RGB"), np.float32)[:, :, ::-1] / 255
        return ((array - self._mean) / self._std).transpose(2, 0, 1)[None].astype(np.float32)

    def metrics(
        self, samples: Samples, expected: Sequence[Array], outputs: Sequence[Array]
    ) -> dict[str, Array]:
        masks = [(a[0, 0] > 0.3, b[0, 0] > 0.3) for a, b in zip(outputs, expected, strict=True)]
        return {
            "pixel F1": np.array([_f1((a & b).sum(), a.sum(), b.sum()) for a, b in masks]),
            "box F1": np.array(
                [_box_f1(_boxes(a), truth) for (a, _), truth in zip(masks, samples.truth, strict=True)]
            ),
        }


def _f1(both: float, ours: float, theirs: float) -> float:
    return 1.0 if ours + theirs == 0 else float(2 * both / (ours + theirs))


def _boxes(mask: Array, ratio: float = 1.6, least: int = 20) -> list[Box]:
    """Upright boxes of the regions, grown as DB's postprocessing does (Liao et al. 2020, arXiv:1911.08947)."""
    found = []
    for rows_, columns in ndimage.find_objects(ndimage.label(mask)[0]):
        height, width = rows_.stop - rows_.start, columns.stop - columns.start
        if height * width < least:
            continue
        grow = height * width * ratio / (2 * (height + width))
        found.append((columns.start - grow, rows_.start - grow, columns.stop + grow, rows_.stop + grow))
    return found


def _intersection(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _box_f1(found: list[Box], truth: list[Box], threshold: float = 0.5) -> float:
    free, hits = list(truth), 0
    for box in found:
        overlaps = [_intersection(box, other) for other in free]
        unions = [_area(box) + _area(other) - both for other, both in zip(free, overlaps, strict=True)]
        shares = [both / union for both, union in zip(overlaps, unions, strict=True)]
        if shares and max(shares) >= threshold:
            free.pop(int(np.argmax(shares)))
            hits += 1
    return _f1(hits, len(found), len(truth))
