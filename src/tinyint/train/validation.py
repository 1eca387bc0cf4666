"""What validation data say of a model: the metrics of its task, or how close it is to its teacher."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor, distributed

from tinyint.data import Sample
from tinyint.numerics import Array
from tinyint.runtimes import Session, get_runtime
from tinyint.tasks import Classification, Detection, TaskName
from tinyint.tasks.score import scorer_for, split
from tinyint.tasks.scoring.scorer import Scorer
from tinyint.tasks.tails import Suppression, detections_tail
from tinyint.train.data import Batch
from tinyint.train.objective import Objective, fit_labels, logits_of, tensors_of

__all__ = ["Validation"]

_HEADLINE: dict[TaskName, str] = {"classification": "top1", "detection": "AP", "segmentation": "miou"}


class Validation:
    """One evaluation, batch by batch; that of several devices is `joined` from the parts of each.

    With labels the metrics are those of `evaluate.scorer_for`, the first one leading. Without: agreement, the share of
    equal highest logits, if the teacher's softmax is learned; else sqnr_db, the teacher's outputs being the signal.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.scorer: Scorer | None = scorer_for(objective.task) if objective.options.needs_labels else None
        self._sums = np.zeros(4)  # loss, samples, decisions like the teacher's, decisions
        self._tail: Session | None = None

    def add(self, batch: Batch, outputs: Any, targets: Any, loss: float) -> None:
        """`outputs` and the teacher's `targets` are what the models returned, `loss` is the mean over the batch."""
        self._sums[:2] += loss * batch.samples, batch.samples
        if self.scorer is not None:
            self._score(self.scorer, batch, outputs)
        elif self.objective.needs_logits:
            same = logits_of(outputs).argmax(1) == logits_of(targets).argmax(1)
            self._sums[2:] += float(same.sum()), same.numel()

    def _score(self, scorer: Scorer, batch: Batch, outputs: Any) -> None:
        if isinstance(self.objective.task, Classification):
            self._score_rows(scorer, batch, outputs)
            return
        arrays = [tensor.float().cpu().numpy() for tensor in tensors_of(outputs)]
        found = self._decoded(arrays) if isinstance(self.objective.task, Detection) else {"logits": arrays[0]}
        labels = batch.labels
        assert labels is not None
        for i in range(batch.samples):
            label = labels[i].numpy() if isinstance(labels, Tensor) else labels[i]
            inputs = {name: tensor[i : i + 1].numpy() for name, tensor in batch.inputs.items()}
            name = f"validation sample {int(self._sums[1]) - batch.samples + i}"
            scorer.add(Sample(inputs, label, name), split(found, i, batch.samples))

    def _score_rows(self, scorer: Scorer, batch: Batch, outputs: Any) -> None:
        """Every place of (N, classes, ...) is a row."""
        logits = logits_of(outputs).cpu()
        assert isinstance(batch.labels, Tensor)
        labels = fit_labels(batch.labels, logits).reshape(-1)
        rows = logits.movedim(1, -1).reshape(-1, logits.shape[1])
        counted = labels != self.objective.ignored
        if bool(counted.any()):
            scorer.add(Sample({}, labels[counted].numpy(), "validation"), {"logits": rows[counted].numpy()})

    def _decoded(self, heads: list[Array]) -> dict[str, Array]:
        assert isinstance(self.objective.task, Detection)
        names = [f"head_{i}" for i in range(len(heads))]
        if self._tail is None:
            tail = detections_tail(self.objective.task, names, Suppression())
            self._tail = get_runtime("onnxruntime").open(tail)
        return self._tail.run(dict(zip(names, heads, strict=True)))

    def joined(self) -> Validation:
        """The same on all devices: the parts of each, in the order of their ranks."""
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
        """All of them, by name; the one that decides which model is the best comes first."""
        if self.scorer is not None:
            found = self.scorer.metrics()
            first = _HEADLINE[self.objective.task.task]
            return {first: found[first] or 0.0} | {k: v for k, v in found.items() if k != first}
        if self.objective.needs_logits:
            return {"agreement": float(self._sums[2] / max(self._sums[3], 1))}
        return {"sqnr_db": -10 * math.log10(max(self.loss, 1e-30))}
