"""Top-1, top-5 and F1 of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinyint.data import Sample
from tinyint.data.labels import Boxes
from tinyint.errors import DataError, ModelError
from tinyint.numbers.numerics import Array
from tinyint.tasks.scoring.metrics import f1_scores, mean_defined, rank_of
from tinyint.tasks.scoring.scorer import Floats, defined, require_decided

__all__ = ["ClassificationScorer", "logits_of"]

_TOP = (1, 5)
_PAIR = 2


class ClassificationScorer:
    """Scorer of classification; a unit is a row of logits.

    The logits are the first output of shape (N, classes); further axes of length 1 are ignored.

    * top1, top5: share of rows whose label is among the k highest; top5 is None with fewer than five classes
    * f1: mean of F1 over the classes that are a label or a prediction of some row
    * f1_positive: F1 of class 1 if there are two classes, else None
    """

    def __init__(self) -> None:
        self.classes = 0
        self._labels: list[NDArray[np.int64]] = []
        self._predicted: list[NDArray[np.int64]] = []
        self._ranks: list[NDArray[np.int64]] = []

    @property
    def units(self) -> int:
        return sum(map(len, self._ranks))

    def add(self, sample: Sample, outputs: Mapping[str, Array]) -> None:
        labels, logits = _labels(sample), logits_of(outputs, sample.name)
        _check(sample, labels, *logits.shape)
        self.classes = logits.shape[1]
        self._labels.append(labels)
        self._predicted.append(logits.argmax(axis=1))
        self._ranks.append(rank_of(logits, labels))

    def merge(self, other: Self) -> None:
        self.classes = max(self.classes, other.classes)
        self._labels += other._labels
        self._predicted += other._predicted
        self._ranks += other._ranks

    def metrics(self) -> dict[str, float | None]:
        values = {name: defined(v[0]) for name, v in self.resampled(np.ones((1, self.units))).items()}
        return {name: values.get(name) for name in ("top1", "top5", "f1", "f1_positive")}

    def per_class(self) -> list[float | None]:
        return [defined(score) for score in self._f1(np.ones((1, self.units)))[0]]

    def decisions(self) -> dict[str, NDArray[np.bool_]]:
        ranks = np.concatenate(self._ranks)
        return {f"top{k}": ranks < k for k in _TOP if self.classes >= k}

    def resampled(self, weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        values = {name: weights @ right / total for name, right in self.decisions().items()}
        scores = self._f1(weights)
        values["f1"] = mean_defined(scores)
        if self.classes == _PAIR:
            values["f1_positive"] = scores[:, 1]
        return values

    def _f1(self, weights: Floats) -> Floats:
        """F1 of each class, (B, classes)."""
        labels, predicted = np.concatenate(self._labels), np.concatenate(self._predicted)
        right = labels == predicted
        hits = _counts(labels[right], weights[:, right], self.classes)
        return f1_scores(
            hits, _counts(predicted, weights, self.classes), _counts(labels, weights, self.classes)
        )


def _counts(classes: NDArray[np.int64], weights: Floats, length: int) -> Floats:
    return np.array([np.bincount(classes, row, length) for row in weights])


def _labels(sample: Sample) -> NDArray[np.int64]:
    """Label of each row of the sample, (rows,)."""
    if sample.label is None:
        raise DataError(
            f"{sample.name} has no label; accuracy needs labelled data (class folders, a list file, or an array "
            "`labels`)"
        )
    if isinstance(sample.label, Boxes):
        raise DataError(
            f"{sample.name} is labelled with boxes, which are for detection; expected a class number"
        )
    label = np.asarray(sample.label)
    if label.dtype.kind not in "iu":
        raise DataError(f"{sample.name}: the label is of type {label.dtype}; expected a class number")
    return label.reshape(-1).astype(np.int64)


def logits_of(outputs: Mapping[str, Array], name: str) -> Array:
    """First output of shape (N, classes), further axes of length 1 removed.

    Raises ModelError if there is none, or if no class is the highest for the sample `name`.
    """
    for output, array in outputs.items():
        if array.ndim < 2 or array.shape[1] < 2 or any(dim != 1 for dim in array.shape[2:]):
            continue
        logits = array.reshape(array.shape[:2])
        require_decided(output, logits, name)
        return logits
    listed = ", ".join(f"{output!r} {array.shape}" for output, array in outputs.items())
    raise ModelError(f"the model has no output of shape (batch, classes), only {listed}; it is no classifier")


def _check(sample: Sample, labels: NDArray[np.int64], rows: int, classes: int) -> None:
    if len(labels) != rows:
        raise DataError(
            f"{sample.name} has {len(labels)} labels, but the model's output has {rows} rows for it"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise DataError(
            f"{sample.name} has the label {wrong[0]}, but the model has the classes 0 to {classes - 1}; "
            "check the order and the start of the labels"
        )
