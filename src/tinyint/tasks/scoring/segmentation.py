"""Mean intersection over union and pixel accuracy of segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tinyint.data import Sample
from tinyint.data.labels import Boxes
from tinyint.errors import DataError, ModelError
from tinyint.numbers.numerics import Array
from tinyint.tasks.scoring.metrics import iou_scores, mean_defined
from tinyint.tasks.scoring.scorer import Floats, defined, require_decided

if TYPE_CHECKING:
    from tinyint.tasks.segmentation import Segmentation

__all__ = ["SegmentationScorer", "class_map"]

_SEGMENTS = 3  # axes of a batch of maps of class numbers


class SegmentationScorer:
    """Scorer of segmentation; a unit is a sample.

    It compares the first output of logits (N, classes, H, W), or of class numbers (N, H, W), with the label (H, W).
    Pixels with the ignored label do not count.

    * miou: mean over classes of |label ∩ prediction| / |label ∪ prediction|, each summed over the pixels of all
      samples; a class that is neither a label nor a prediction of any pixel is left out
    * pixel_accuracy: share of pixels whose class is right
    """

    def __init__(self, info: Segmentation) -> None:
        self.info = info
        self.classes = len(self.info.classes or ())
        self._counts: list[NDArray[np.int64]] = []

    @property
    def units(self) -> int:
        return len(self._counts)

    def add(self, sample: Sample, outputs: Mapping[str, Array]) -> None:
        predicted, columns = class_map(outputs, sample.name)
        label = _label(sample, predicted.shape)
        valid = label != self.info.ignore_label
        label, predicted = label[valid].astype(np.int64), predicted[valid].astype(np.int64)
        classes = columns or len(self.info.classes or ())
        if classes:
            _check(sample, label, classes)
        self.classes = max(self.classes, classes, *(int(a.max(initial=-1)) + 1 for a in (label, predicted)))
        parts = (label[label == predicted], predicted, label)
        self._counts.append(np.stack([np.bincount(part, minlength=self.classes) for part in parts]))

    def merge(self, other: Self) -> None:
        self.classes = max(self.classes, other.classes)
        self._counts += other._counts

    def metrics(self) -> dict[str, float | None]:
        return {name: defined(v[0]) for name, v in self.resampled(np.ones((1, self.units))).items()}

    def per_class(self) -> list[float | None]:
        return [defined(score) for score in iou_scores(*self._pixels(np.ones((1, self.units))))[0]]

    def decisions(self) -> dict[str, NDArray[np.bool_]]:
        return {}

    def resampled(self, weights: Floats) -> dict[str, Floats]:
        hits, predicted, labelled = self._pixels(weights)
        pixels = labelled.sum(axis=1)
        accuracy = np.divide(hits.sum(axis=1), pixels, out=np.full(len(weights), np.nan), where=pixels > 0)
        return {
            "miou": mean_defined(iou_scores(hits, predicted, labelled)),
            "pixel_accuracy": accuracy,
        }

    def _pixels(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Right, predicted and labelled pixels of each class, (B, classes)."""
        counts = np.zeros((self.units, 3, self.classes))
        for row, count in zip(counts, self._counts, strict=True):
            row[:, : count.shape[1]] = count
        hits, predicted, labelled = np.moveaxis(np.tensordot(weights, counts, axes=1), 1, 0)
        return hits, predicted, labelled


def class_map(outputs: Mapping[str, Array], name: str) -> tuple[Array, int | None]:
    """Class of each pixel, (N, H, W), and number of classes, if logits.

    Raises ModelError if no output has such a form, or if no class is the highest for the sample `name`.
    """
    for output, array in outputs.items():
        if array.ndim == _SEGMENTS and array.dtype.kind in "iu":
            return array, None
        if array.ndim == _SEGMENTS + 1 and array.shape[1] > 1 and array.dtype.kind == "f":
            require_decided(output, array, name)
            return array.argmax(axis=1), array.shape[1]
    listed = ", ".join(f"{output!r} {array.dtype} {array.shape}" for output, array in outputs.items())
    raise ModelError(
        f"the model has no output of logits (batch, classes, height, width) or of classes (batch, height, width), "
        f"only {listed}; it is no segmentation net"
    )


def _label(sample: Sample, shape: tuple[int, ...]) -> Array:
    """Label in the shape (N, H, W) of the prediction."""
    if sample.label is None or isinstance(sample.label, Boxes | int):
        form = "no label" if sample.label is None else f"a label of type {type(sample.label).__name__}"
        raise DataError(
            f"{sample.name} has {form}; segmentation needs a map of classes for each image (a list file of 'image "
            "label' lines, Cityscapes' folders, or an array `labels`)"
        )
    label = np.asarray(sample.label)
    if label.dtype.kind not in "iu":
        raise DataError(f"{sample.name}: the label is of type {label.dtype}; expected whole numbers")
    if label.size != np.prod(shape) or label.shape[-2:] != shape[-2:]:
        raise DataError(
            f"{sample.name}: the label has shape {label.shape}, the model's output {shape}; both must have the "
            "height and width of the model's input"
        )
    return label.reshape(shape)


def _check(sample: Sample, label: NDArray[np.int64], classes: int) -> None:
    wrong = label[(label < 0) | (label >= classes)]
    if wrong.size:
        raise DataError(
            f"{sample.name} has {wrong.size} pixels with labels such as {wrong[0]}, but the model has the classes 0 to "
            f"{classes - 1}; check the labels, and which one is ignored"
        )
