"""Evaluation of any number of models in one pass over labelled samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyint.data import Sample, stack
from tinyint.data.sample import batches
from tinyint.errors import DataError, ModelError
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session
from tinyint.runtimes.outputs import tensors_of
from tinyint.tasks.paired import Difference
from tinyint.tasks.scoring.scorer import Scorer

__all__ = ["Evaluation", "outputs_for", "score", "split"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of an evaluation.

    * `metrics`: numbers from 0 to 1 by metric; None for one that these classes or samples do not define
    * `per_class`: F1, AP or IoU by class
    * `against`: metrics of the other model, if there is one
    * `differences`: the model's metrics minus the other model's
    * `notices`: sentences for the user
    """

    task: str
    metrics: Mapping[str, float | None]
    per_class: Mapping[str, float | None]
    samples: int
    classes: int
    against: Mapping[str, float | None] | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def score(
    models: Sequence[tuple[Session, Scorer]],
    data: Iterable[Sample],
    batch_size: int = 1,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Adds the samples to each model's scorer; returns their number.

    Samples run in batches if all inputs of all models have an open batch axis, else one at a time. A batch ends early
    if the next sample has another shape. `progress` gets the number of samples so far.

    Raises DataError if there are no samples, and the errors of the scorers.
    """
    opens = (spec.shape and spec.shape[0] is None for session, _ in models for spec in session.inputs)
    samples = 0
    for batch in batches(data, max(batch_size, 1) if all(opens) else 1):
        for session, scorer in models:
            outputs = outputs_for(session, batch)
            for i, sample in enumerate(batch):
                scorer.add(sample, split(outputs, i, len(batch)))
        samples += len(batch)
        progress(samples)
    if not samples:
        raise DataError("there are no samples to evaluate; give --data with labelled samples")
    return samples


def outputs_for(session: Session, batch: Sequence[Sample]) -> dict[str, Array]:
    """Outputs for a batch, which the session's next call overwrites.

    Its ModelError names the batch's samples.
    """
    try:
        return tensors_of(session.run_transient(stack(batch)))
    except ModelError as error:
        raise ModelError(f"sample {', '.join(sample.name for sample in batch)}: {error}") from error


def split(outputs: Mapping[str, Array], i: int, count: int) -> dict[str, Array]:
    """Outputs of sample `i` in a batch of `count`."""
    return {name: _part(name, array, i, count) for name, array in outputs.items()}


def _part(name: str, array: Array, i: int, count: int) -> Array:
    if name == "detections" and array.ndim == 2:  # the first column is the image that a row belongs to
        return np.asarray(array[array[:, 0] == i])
    if not array.ndim or len(array) % count:
        return array
    rows = len(array) // count
    return array[i * rows : (i + 1) * rows]
