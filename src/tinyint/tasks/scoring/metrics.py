"""Metrics of decisions, as pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyint.numbers.numerics import Array

__all__ = ["f1_scores", "iou_scores", "mean_defined", "rank_of", "top_k"]


def top_k(logits: ArrayLike, labels: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Whether each row's label is among its k highest logits, (N,).

    `logits` are (N, classes), `labels` (N,).
    """
    return rank_of(logits, labels) < k


def rank_of(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Rank of each row's label among the row's logits, (N,); 0 is the highest.

    `logits` are (N, classes), `labels` (N,). Of equal logits the lower class comes first, as with argmax, so that the
    result does not depend on a sorting algorithm. NaN counts as the lowest.
    """
    scores, classes = np.asarray(logits), np.asarray(labels, np.int64)
    if np.issubdtype(scores.dtype, np.floating):
        scores = np.where(np.isnan(scores), -np.inf, scores)
    own = np.take_along_axis(scores, classes[:, None], axis=1)
    lower = np.arange(scores.shape[1]) < classes[:, None]
    ahead = (scores > own) | ((scores == own) & lower)
    return np.asarray(ahead.sum(axis=1), np.int64)


def f1_scores(hits: Array, predicted: Array, labelled: Array) -> NDArray[np.float64]:
    """F1 by class, 2·hits / (predicted + labelled); NaN for 0 / 0.

    F1 is the harmonic mean of precision and recall. The arrays, of the same shape, count right predictions, all
    predictions and all labels by class.
    """
    return _ratio(2.0 * hits, predicted + labelled)


def iou_scores(hits: Array, predicted: Array, labelled: Array) -> NDArray[np.float64]:
    """IoU (Jaccard) by class, hits / (predicted + labelled - hits); NaN for 0 / 0."""
    return _ratio(hits, predicted + labelled - hits)


def mean_defined(scores: Array) -> NDArray[np.float64]:
    """Mean over the last axis without NaN; NaN if all are."""
    defined = ~np.isnan(scores)
    return _ratio(np.where(defined, scores, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _ratio(part: Array, whole: Array) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(
        part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0
    )
    return ratio
