"""What is minimized, and what is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.errors import DataError, ModelError
from tinyint.qat.distill import distillation_loss
from tinyint.train.config import LossPart

__all__ = ["Metric", "Objective", "logits_of", "tensors_of"]

Metric = Literal["top1", "agreement", "sqnr_db"]


def tensors_of(outputs: Any) -> list[Tensor]:
    """The tensors that a model returned, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        return [tensor for value in outputs.values() for tensor in tensors_of(value)]
    if isinstance(outputs, tuple | list):
        return [tensor for value in outputs for tensor in tensors_of(value)]
    raise ModelError(f"the model returns a {type(outputs).__name__}; expected tensors")


def logits_of(outputs: Any) -> Tensor:
    """The first output, of shape (N, classes, ...), in float32. Raises ModelError if it is not of that form."""
    first = tensors_of(outputs)[0]
    if first.ndim < 2 or not first.is_floating_point():
        raise ModelError(
            f"the model's first output is {first.dtype} of shape {tuple(first.shape)}; the loss needs logits of shape "
            "(batch, classes, ...): export the model without what follows them, such as ArgMax"
        )
    return first.float()


@dataclass(frozen=True)
class Objective:
    """Cross entropy with the labels, the distance to a teacher, or both. Outputs are what the model returned."""

    options: LossPart

    @property
    def metric(self) -> Metric:
        """top1: the share of labels that are the highest logit; without labels, what compares with the teacher.

        agreement: the share of equal highest logits; sqnr_db: of the outputs, the teacher's being the signal.
        """
        if self.options.needs_labels:
            return "top1"
        return "agreement" if self.options.teacher_loss == "kl" else "sqnr_db"

    @property
    def needs_logits(self) -> bool:
        return self.metric != "sqnr_db"

    def loss(self, outputs: Any, labels: Tensor | None, targets: Any) -> Tensor:
        """(1 - a)·CE(logits, labels) + a·D(outputs, targets), the mean over the batch.

        a is `teacher_share` with a teacher, else 0. D is `qat.distill.distillation_loss`, or with kl
        T²·KL(softmax(targets / T) ‖ softmax(logits / T)), T the temperature (Hinton et al. 2015, arXiv:1503.02531, §2).
        Logits (N, C, ...), labels (N, ...).
        """
        share = self.options.teacher_share if targets is not None else 0.0
        parts = []
        if share < 1:
            logits = logits_of(outputs)
            entropy = functional.cross_entropy(
                logits,
                _fit(labels, logits),
                label_smoothing=self.options.label_smoothing,
                ignore_index=self._ignored,
            )
            parts.append((1 - share) * entropy)
        if share > 0 and self.options.teacher_loss == "kl":
            parts.append(share * self._divergence(logits_of(outputs), logits_of(targets)))
        elif share > 0:
            parts.append(share * distillation_loss(outputs, targets))
        return torch.stack(parts).sum()

    def _divergence(self, logits: Tensor, teacher: Tensor) -> Tensor:
        hot = self.options.temperature
        ours = functional.log_softmax(logits / hot, dim=1)
        theirs = functional.log_softmax(teacher / hot, dim=1)
        return (theirs.exp() * (theirs - ours)).sum(1).mean() * hot**2

    def decisions(self, outputs: Any, labels: Tensor | None, targets: Any) -> Tensor:
        """(how many decisions are right, how many there are); zeros where the metric is not about decisions."""
        if not self.needs_logits:
            return torch.zeros(2)
        logits = logits_of(outputs)
        chosen = logits.argmax(1)
        if self.options.needs_labels:
            labels = _fit(labels, logits)
            return torch.stack([(chosen == labels).sum(), (labels != self._ignored).sum()])
        right = chosen == logits_of(targets).argmax(1)
        return torch.stack([right.sum(), right.new_tensor(right.numel(), dtype=torch.int64)])

    def value(self, loss: float, right: float, decisions: float) -> float:
        """The metric, from the sums over all samples."""
        if self.needs_logits:
            return right / max(decisions, 1)
        return -10 * math.log10(max(loss, 1e-30))

    @property
    def _ignored(self) -> int:
        return -1 if self.options.ignore_label is None else self.options.ignore_label


def _fit(labels: Tensor | None, logits: Tensor) -> Tensor:
    """Labels of the shape (N, ...) that the logits (N, C, ...) ask for."""
    assert labels is not None
    wanted = torch.Size((logits.shape[0], *logits.shape[2:]))
    if labels.numel() != wanted.numel():
        raise DataError(
            f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}; expected "
            f"{tuple(wanted)}"
        )
    return labels.reshape(wanted)
