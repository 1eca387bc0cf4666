"""Top-1 and top-5 accuracy of a classifier on labelled samples, on any runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyint.data import Sample, stack
from tinyint.errors import DataError, ModelError
from tinyint.evaluate.metrics import rank_of
from tinyint.numerics import Array
from tinyint.runtimes import Session

__all__ = ["ClassificationResult", "evaluate_classification"]

_TOP = (1, 5)


@dataclass(frozen=True, kw_only=True)
class ClassificationResult:
    """`metrics` holds the shares top1 and top5, 0 to 1; top5 is None where there are fewer than five classes."""

    metrics: Mapping[str, float | None]
    samples: int
    classes: int


def evaluate_classification(
    session: Session,
    data: Iterable[Sample],
    batch_size: int = 1,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> ClassificationResult:
    """Runs the samples in batches if the model leaves the batch axis of every input open, else one at a time.

    The classes are the columns of the first output of shape (N, classes); axes of length 1 behind them are passed over.
    A batch ends early where the next sample has another shape. `progress` is told the samples done.
    Raises DataError for no samples, and for one without a label or with a label that is no class, which it names;
    ModelError for a model without such an output or with NaN in it.
    """
    if not all(spec.shape and spec.shape[0] is None for spec in session.inputs):
        batch_size = 1
    samples = rows = classes = 0
    hits = dict.fromkeys(_TOP, 0)
    for batch in _batches(data, max(batch_size, 1)):
        labels = [_labels(sample) for sample in batch]
        logits = _logits(session.run_transient(stack(batch)), batch)
        rows_each = len(logits) // len(batch)
        for sample, own in zip(batch, labels, strict=True):
            _check(sample, own, rows_each, logits.shape[1])
        ranks = rank_of(logits, np.concatenate(labels))
        for k in _TOP:
            hits[k] += int(np.count_nonzero(ranks < k))
        samples, rows, classes = samples + len(batch), rows + len(ranks), logits.shape[1]
        progress(samples)
    if not samples:
        raise DataError("there are no samples to evaluate; give --data with labelled samples")
    metrics = {f"top{k}": hits[k] / rows if classes >= k else None for k in _TOP}
    return ClassificationResult(metrics=metrics, samples=samples, classes=classes)


def _batches(data: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for sample in data:
        if batch and (len(batch) == size or _shapes(sample) != _shapes(batch[0])):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch


def _shapes(sample: Sample) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in sample.inputs.items()}


def _labels(sample: Sample) -> NDArray[np.int64]:
    """The label of each row of the sample, shape (rows,)."""
    if sample.label is None:
        raise DataError(
            f"{sample.name} has no label; accuracy needs labelled data (class folders, a list file, or an array "
            "`labels`)"
        )
    label = np.asarray(sample.label)
    if label.dtype.kind not in "iu":
        raise DataError(f"{sample.name}: the label is of type {label.dtype}; expected a class number")
    return label.reshape(-1).astype(np.int64)


def _logits(outputs: Mapping[str, Array], batch: list[Sample]) -> Array:
    for name, array in outputs.items():
        if array.ndim < 2 or array.shape[1] < 2 or any(dim != 1 for dim in array.shape[2:]):
            continue
        logits = array.reshape(array.shape[:2])
        bad = np.isnan(logits).any(axis=1) if logits.dtype.kind == "f" else np.zeros(len(logits), bool)
        if bad.any():
            sample = batch[int(bad.argmax()) * len(batch) // len(logits)]
            raise ModelError(f"output {name!r} is NaN for sample {sample.name}; check its preprocessing")
        return logits
    seen = ", ".join(f"{name!r} {array.shape}" for name, array in outputs.items())
    raise ModelError(f"the model has no output of shape (batch, classes), only {seen}; it is no classifier")


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
