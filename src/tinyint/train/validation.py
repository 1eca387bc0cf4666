"""Validation of a model: metrics of its task, or distance to its teacher."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import distributed

from tinyint.tasks.learning.learning import Labelled
from tinyint.tasks.learning.logits import logits_of
from tinyint.tasks.scoring.scorer import Scorer
from tinyint.train.data import Batch
from tinyint.train.objective import Objective

__all__ = ["Validation"]


class Validation:
    """One evaluation, batch by batch.

    That of several devices is `joined` from the parts of each.

    With labels the metrics are those of the task's scorer, its headline first. Without: agreement, the share of
    equal highest logits, if the teacher's softmax is learned; else sqnr_db, the teacher's outputs being the signal.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.scorer: Scorer | None = objective.task.scorer() if objective.options.needs_labels else None
        self._sums = np.zeros(4)  # loss, samples, decisions like the teacher's, decisions

    def add(self, batch: Batch, outputs: Any, targets: Any, loss: float) -> None:
        """Adds a batch: `outputs`, the teacher's `targets`, mean `loss`.

        Outputs and targets are what the models returned.
        """
        self._sums[:2] += loss * batch.samples, batch.samples
        if self.scorer is not None:
            self._score(self.scorer, batch, outputs)
        elif self.objective.needs_logits:
            same = logits_of(outputs).argmax(1) == logits_of(targets).argmax(1)
            self._sums[2:] += float(same.sum()), same.numel()

    def _score(self, scorer: Scorer, batch: Batch, outputs: Any) -> None:
        assert batch.labels is not None
        labelled = Labelled(
            inputs=batch.inputs,
            labels=batch.labels,
            samples=batch.samples,
            first=int(self._sums[1]) - batch.samples,
        )
        for sample, found in self.objective.learning.judged(labelled, outputs, self.objective.options):
            scorer.add(sample, found)

    def joined(self) -> Validation:
        """Validation of all devices, joined in the order of their ranks."""
        if not distributed.is_initialized():
            return self
        parts: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, (self._sums, self.scorer))
        whole = Validation(self.objective)
        for sums, scorer in parts:
            whole._sums = whole._sums + sums
            if whole.scorer is not None:
                whole.scorer.merge(scorer)
        return whole

    @property
    def loss(self) -> float:
        return float(self._sums[0] / max(self._sums[1], 1))

    def metrics(self) -> dict[str, float | None]:
        """All metrics by name, first the one that selects the best model."""
        if self.scorer is not None:
            found = self.scorer.metrics()
            first = self.objective.task.headline
            return {first: found[first] or 0.0} | {k: v for k, v in found.items() if k != first}
        if self.objective.needs_logits:
            return {"agreement": float(self._sums[2] / max(self._sums[3], 1))}
        return {"sqnr_db": -10 * math.log10(max(self.loss, 1e-30))}
