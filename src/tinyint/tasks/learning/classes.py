"""Classification in training: cross entropy of logits (N, classes, …)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from tinyint.data import Sample
from tinyint.numbers.numerics import Array
from tinyint.tasks.learning.learning import Labelled, Labels, LossOptions
from tinyint.tasks.learning.logits import fit_labels, logits_of
from tinyint.tasks.task import Task

__all__ = ["ClassLearning"]


class ClassLearning:
    """Training interface of classification; see `Learning`.

    Each position of the logits is judged as a sample.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def classes(self, outputs: Any) -> int:
        return logits_of(outputs).shape[1]

    def loss(self, outputs: Any, labels: Labels, options: LossOptions) -> Tensor:
        return self._entropy(logits_of(outputs), labels, options)

    def judged(
        self, batch: Labelled, outputs: Any, options: LossOptions
    ) -> Iterator[tuple[Sample, Mapping[str, Array]]]:
        logits = logits_of(outputs).cpu()
        assert isinstance(batch.labels, Tensor)
        labels = fit_labels(batch.labels, logits).reshape(-1)
        rows = logits.movedim(1, -1).reshape(-1, logits.shape[1])
        valid = labels != self.task.ignored(options.ignore_label)
        if bool(valid.any()):
            yield Sample({}, labels[valid].numpy(), "validation"), {"logits": rows[valid].numpy()}

    def _entropy(self, logits: Tensor, labels: Labels, options: LossOptions) -> Tensor:
        assert isinstance(labels, Tensor)
        return functional.cross_entropy(
            logits,
            fit_labels(labels, logits),
            label_smoothing=options.label_smoothing,
            ignore_index=self.task.ignored(options.ignore_label),
        )
