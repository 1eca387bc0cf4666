"""Objective: the task's loss, the distance to a teacher, or both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.errors import RecipeError
from tinyint.qat.distill import distillation_loss
from tinyint.tasks import Classification, Task
from tinyint.tasks.learning.learning import Labels, Learning
from tinyint.tasks.learning.logits import logits_of, tensors_of
from tinyint.tasks.registry import loss_options
from tinyint.train.config import LossPart

__all__ = ["Objective"]


_CLASSES = Classification()


@dataclass(frozen=True)
class Objective:
    """Loss of the task, distance to a teacher, or both.

    Outputs are what the model returned.

    Labels are class numbers (N, ...), or the boxes of each image for detection. Raises RecipeError for options of the
    loss that the task does not have.
    """

    options: LossPart
    task: Task = _CLASSES

    def __post_init__(self) -> None:
        name = self.task.task
        for key in sorted((loss_options() - self.task.loss_options) & self.options.model_fields_set):
            raise RecipeError(f"loss.{key} has no effect on {name}, which the model is for; remove it")
        if not self.task.gives_logits and self.options.teacher and self.options.teacher_loss == "kl":
            raise RecipeError(
                f"loss.teacher_loss kl compares classes, which {self.task.label_kind} are not; set it to relative"
            )

    @cached_property
    def learning(self) -> Learning:
        return self.task.learning()

    @property
    def ignored(self) -> int:
        """The label that does not count."""
        return self.task.ignored(self.options.ignore_label)

    @property
    def needs_logits(self) -> bool:
        """Whether the first output must be logits (N, classes, ...)."""
        return self.task.gives_logits and (self.options.needs_labels or self.options.teacher_loss == "kl")

    def used(self, outputs: Any) -> list[Tensor]:
        """The outputs that the loss depends on."""
        if self.needs_logits:
            return [logits_of(outputs)]
        return [tensor for tensor in tensors_of(outputs) if tensor.is_floating_point()]

    def trained(self, outputs: Any) -> list[Tensor]:
        """Objective on a model's outputs in training, auxiliary ones included."""
        return tensors_of(outputs) if "auxiliary" in self.task.loss_options else self.used(outputs)

    def loss(self, outputs: Any, labels: Labels | None, targets: Any) -> Tensor:
        """(1 - a)·L(outputs, labels) + a·D(outputs, targets), the mean over the batch.

        a is `teacher_share` with a teacher, else 0. L is that of `Task.learning`. D is `qat.distill.distillation_loss`,
        or with kl T²·KL(softmax(targets / T) ‖ softmax(logits / T)), T the temperature (Hinton et al. 2015,
        arXiv:1503.02531, §2).
        """
        share = self.options.teacher_share if targets is not None else 0.0
        parts = []
        if share < 1:
            assert labels is not None
            parts.append((1 - share) * self.learning.loss(outputs, labels, self.options))
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
