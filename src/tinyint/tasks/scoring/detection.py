"""Average precision by COCO's rules and code, with fast resampling.

Images are matched only once. This is the only file that imports pycocotools.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from tinyint.data import Boxes, Sample
from tinyint.errors import DataError, DependencyError
from tinyint.numbers.numerics import Array
from tinyint.tasks.scoring.metrics import mean_defined
from tinyint.tasks.scoring.scorer import Floats
from tinyint.tasks.tails.detections import Detections, detections_of

if TYPE_CHECKING:
    from tinyint.tasks.detection import Detection

__all__ = ["DetectionScorer"]

MOST = 100
"""Detections per image that count, by COCO's rules: those with the highest scores."""
_BLOCK = 1 << 21  # detections times resamples, at a time
_ALL_SIZES, _MOST_DETECTIONS = 0, -1  # indices in the tables of COCOeval


class DetectionScorer:
    """Scorer of detection; a unit is an image.

    It takes the output `detections` of the detection tail, and labels that are `Boxes`.

    * AP: mean of the precision at 101 recalls, over classes and the IoU thresholds 0.50, 0.55, …, 0.95
    * AP50, AP75: the same at one IoU threshold
    * APs, APm, APl: for objects of less than 32², of up to 96², and of more pixels; None if there are none

    A class without objects is left out of the mean. A crowd's box is not an object to find, and detections in it are
    not wrong. The matching is COCOeval's (pycocotools).
    """

    def __init__(self, info: Detection) -> None:
        if find_spec("pycocotools") is None:
            raise DependencyError("the AP of a detector needs pycocotools: pip install 'tinyint[coco]'")
        self.info = info
        self.classes = len(info.classes or ())
        self._truth: list[Boxes] = []
        self._detections: list[Detections] = []

    @property
    def units(self) -> int:
        return len(self._truth)

    def add(self, sample: Sample, outputs: Mapping[str, Array]) -> None:
        truth = _truth(sample)
        detections = detections_of(outputs, sample.inputs, truth.size, sample.name).best(MOST)
        classes = len(self.info.classes or ())
        if classes and truth.classes.max(initial=-1) >= classes:
            raise DataError(
                f"{sample.name} has a box of class {truth.classes.max()}, but the model has the classes 0 to "
                f"{classes - 1}; check that data and model have the same classes"
            )
        highest = max(truth.classes.max(initial=-1), detections.classes.max(initial=-1))
        self.classes = max(self.classes, 1 + int(highest))
        self._truth.append(truth)
        self._detections.append(detections)
        self._clear_cache()

    def merge(self, other: Self) -> None:
        self.classes = max(self.classes, other.classes)
        self._truth += other._truth
        self._detections += other._detections
        self._clear_cache()

    def _clear_cache(self) -> None:
        for cached in ("_evaluation", "_matches"):
            self.__dict__.pop(cached, None)

    def metrics(self) -> dict[str, float | None]:
        # (IoU threshold, recall, class, size, detections allowed)
        precision = self._evaluation.eval["precision"]
        whole = precision[:, :, :, _ALL_SIZES, _MOST_DETECTIONS]
        thresholds = {"AP": whole, "AP50": whole[0], "AP75": whole[5]}
        sizes = {
            f"AP{size[0]}": precision[:, :, :, i, _MOST_DETECTIONS]
            for i, size in enumerate(self._evaluation.params.areaRngLbl)
            if i != _ALL_SIZES
        }
        return {name: _mean(values) for name, values in {**thresholds, **sizes}.items()}

    def per_class(self) -> list[float | None]:
        precision = self._evaluation.eval["precision"][..., _ALL_SIZES, _MOST_DETECTIONS]
        return [_mean(precision[:, :, c]) for c in range(self.classes)]

    def decisions(self) -> dict[str, NDArray[np.bool_]]:
        return {}

    def resampled(self, weights: Floats) -> dict[str, Floats]:
        tables = [self._table(matches, weights) for matches in self._matches]
        whole = tables[_ALL_SIZES]
        thresholds = {"AP": _flat(whole), "AP50": whole[:, :, 0], "AP75": whole[:, :, 5]}
        sizes = {
            f"AP{size[0]}": _flat(tables[i])
            for i, size in enumerate(self._evaluation.params.areaRngLbl)
            if i != _ALL_SIZES
        }
        return {name: mean_defined(values) for name, values in {**thresholds, **sizes}.items()}

    def _table(self, matches: list[_Matches], weights: Floats) -> Floats:
        """Average precision, (B, class, IoU threshold); NaN for a class without objects in a draw."""
        table = np.full((len(weights), self.classes, len(self._evaluation.params.iouThrs)), np.nan)
        for c, of_class in enumerate(matches):
            table[:, c] = of_class.average_precision(weights)
        return table

    @cached_property
    def _evaluation(self) -> Any:
        """COCOeval with the results for these images."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        shared = {
            "images": [{"id": i} for i in range(self.units)],
            "categories": [{"id": c, "name": self.info.name_of(c)} for c in range(self.classes)],
        }
        truth, results = COCO(), COCO()
        truth.dataset = {**shared, "annotations": _numbered(_objects(self._truth))}
        results.dataset = {**shared, "annotations": _numbered(_results(self._detections))}
        with redirect_stdout(io.StringIO()):  # it prints its progress
            truth.createIndex()
            results.createIndex()
            evaluation = COCOeval(truth, results, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    @cached_property
    def _matches(self) -> list[list[_Matches]]:
        """Matches by size, then by class."""
        evaluation, images = self._evaluation, self.units
        sizes = len(evaluation.params.areaRng)
        # evalImgs is ordered by class, then by size, then by image.
        entries = evaluation.evalImgs
        runs = [entries[i : i + images] for i in range(0, len(entries), images)]
        return [
            [_Matches.of(images, run, evaluation.params) for run in runs[size::sizes]]
            for size in range(sizes)
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Matches:
    """Matches of one class's D detections at T thresholds of the IoU, highest score first.

    * `image`: image of each detection, (D,)
    * `hit`, `counted`: whether it matches an object, and whether it counts at all, (T, D)
    * `objects`: number of objects in each image, (images,)
    * `recalls`: recalls at which the precision is read
    """

    image: NDArray[np.int64]
    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    objects: Floats
    recalls: Floats

    @classmethod
    def of(cls, images: int, entries: list[Any], params: Any) -> _Matches:
        """Matches from COCOeval's dictionaries: one per image, None without objects and detections."""
        thresholds = len(params.iouThrs)
        objects = np.zeros(images)
        positions, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
        hits, ignored = [np.zeros((thresholds, 0), bool)], [np.zeros((thresholds, 0), bool)]
        for i, entry in enumerate(entries):
            if entry is None:
                continue
            objects[i] = np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0)
            positions.append(np.full(len(entry["dtScores"]), i))
            scores.append(np.asarray(entry["dtScores"], np.float64))
            hits.append(entry["dtMatches"] > 0)
            ignored.append(entry["dtIgnore"].astype(bool))
        order = np.argsort(-np.concatenate(scores), kind="stable")
        counted = ~np.concatenate(ignored, axis=1)[:, order]
        order, counted = order[counted.any(axis=0)], counted[:, counted.any(axis=0)]
        return cls(
            image=np.concatenate(positions)[order],
            hit=np.concatenate(hits, axis=1)[:, order] & counted,
            counted=counted,
            objects=objects,
            recalls=params.recThrs,
        )

    def average_precision(self, weights: Floats) -> Floats:
        """Average precision, (B, T), if image i occurs weights[b, i] times.

        NaN for a draw without objects.
        """
        rows = max(1, _BLOCK // max(1, len(self.image)))
        return np.concatenate([self._block(weights[i : i + rows]) for i in range(0, len(weights), rows)])

    def _block(self, weights: Floats) -> Floats:
        objects = weights @ self.objects
        each = weights[:, self.image]
        result = np.full((len(weights), len(self.hit)), np.nan)
        always = self.counted.all(axis=0)
        detections = (each * always).cumsum(axis=1)  # by far the longest sum, and the same at all thresholds
        for t, (hit, counted) in enumerate(zip(self.hit, self.counted, strict=True)):
            hits, others = np.flatnonzero(hit), np.flatnonzero(counted & ~always)
            more = np.pad(each[:, others].cumsum(axis=1), ((0, 0), (1, 0)))
            so_far = detections[:, hits] + more[:, np.searchsorted(others, hits, side="right")]
            curve = _area(each[:, hits].cumsum(axis=1), so_far, objects, self.recalls)
            result[:, t] = np.where(objects > 0, curve, np.nan)
        return result


def _area(hits: Floats, detections: Floats, objects: Floats, recalls: Floats) -> Floats:
    """Mean over `recalls` of the highest precision at that recall or a higher one, (B,).

    Recall grows only at hits, so it is enough to look there. `hits`, `detections`: numbers of hits and detections up to
    each hit, (B, hits).
    """
    precision = np.divide(hits, detections, out=np.zeros_like(hits), where=detections > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / np.maximum(objects, 1)[:, None]
    count = np.searchsorted(recalls, recall, side="right")  # of `recalls` up to this one
    new = np.diff(count, axis=1, prepend=0)
    return np.asarray((best * new).sum(axis=1) / len(recalls), np.float64)


def _truth(sample: Sample) -> Boxes:
    if isinstance(sample.label, Boxes):
        return sample.label
    form = "no label" if sample.label is None else f"a label of type {type(sample.label).__name__}"
    raise DataError(
        f"{sample.name} has {form}; detection needs the boxes of each image (FOLDER:instances.json, in COCO's format)"
    )


def _objects(truth: list[Boxes]) -> Iterator[dict[str, Any]]:
    for i, boxes in enumerate(truth):
        for box, c, crowd, area in zip(boxes.boxes, boxes.classes, boxes.crowd, boxes.areas, strict=True):
            entry = {"image_id": i, "category_id": int(c), "bbox": _corner_and_size(box)}
            yield entry | {"area": float(area), "iscrowd": int(crowd)}


def _results(images: list[Detections]) -> Iterator[dict[str, Any]]:
    for i, detections in enumerate(images):
        for box, c, score in zip(detections.boxes, detections.classes, detections.scores, strict=True):
            x, y, width, height = _corner_and_size(box)
            entry = {"image_id": i, "category_id": int(c), "bbox": [x, y, width, height]}
            yield entry | {"area": width * height, "score": float(score)}


def _numbered(entries: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries with ids from 1: COCOeval takes the id 0 for no match."""
    return [{"id": i, **entry} for i, entry in enumerate(entries, 1)]


def _corner_and_size(box: Array) -> list[float]:
    x1, y1, x2, y2 = map(float, box)
    return [x1, y1, x2 - x1, y2 - y1]


def _flat(table: Floats) -> Floats:
    return table.reshape(len(table), -1)


def _mean(precision: Array) -> float | None:
    """Mean of the defined values; COCOeval writes -1 where there are no objects."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None
