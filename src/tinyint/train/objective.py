"""What is minimized, for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tinyint.data import Boxes
from tinyint.errors import DataError, ModelError, RecipeError
from tinyint.qat.distill import distillation_loss
from tinyint.tasks import Classification, Detection, Segmentation, TaskInfo
from tinyint.train.config import LossPart
from tinyint.train.losses.yolo import yolo_loss

__all__ = ["Objective", "fit_labels", "logits_of", "tensors_of"]

_OF_LOGITS = ("label_smoothing", "ignore_label", "temperature")
_CLASSES = Classification()
_BOX_LOGITS = 5  # of an anchor, before its classes


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
    """The loss of the task with the labels, the distance to a teacher, or both. Outputs are what the model returned.

    Labels are class numbers (N, ...), or the boxes of each image for detection. Raises RecipeError for options of the
    loss that the task does not have.
    """

    options: LossPart
    task: TaskInfo = _CLASSES

    def __post_init__(self) -> None:
        given, name = self.options.model_fields_set, self.task.task
        idle = {key for key in _OF_LOGITS if isinstance(self.task, Detection)}
        idle |= set() if isinstance(self.task, Segmentation) else {"auxiliary"}
        idle |= set() if isinstance(self.task, Detection) else {"anchor_iou"}
        for key in sorted(idle & given):
            raise RecipeError(f"loss.{key} has no effect on {name}, which the model is for; remove it")
        if isinstance(self.task, Detection) and self.options.teacher and self.options.teacher_loss == "kl":
            raise RecipeError(
                "loss.teacher_loss kl compares classes, which boxes are not; set it to relative"
            )

    @property
    def ignored(self) -> int:
        """The label that does not count."""
        if self.options.ignore_label is not None:
            return self.options.ignore_label
        return self.task.ignore_label if isinstance(self.task, Segmentation) else -1

    @property
    def needs_logits(self) -> bool:
        """Whether the first output must be logits (N, classes, ...)."""
        if isinstance(self.task, Detection):
            return False
        return self.options.needs_labels or self.options.teacher_loss == "kl"

    def classes(self, outputs: Any) -> int:
        """How many classes the model tells apart."""
        if isinstance(self.task, Detection):
            return tensors_of(outputs)[0].shape[1] // len(self.task.anchors[0]) - _BOX_LOGITS
        return logits_of(outputs).shape[1]

    def loss(self, outputs: Any, labels: Tensor | Sequence[Boxes] | None, targets: Any) -> Tensor:
        """(1 - a)·L(outputs, labels) + a·D(outputs, targets), the mean over the batch.

        a is `teacher_share` with a teacher, else 0. L is `losses.yolo_loss` for detection, else the cross entropy, with
        that of auxiliary outputs added. D is `qat.distill.distillation_loss`, or with kl
        T²·KL(softmax(targets / T) ‖ softmax(logits / T)), T the temperature (Hinton et al. 2015, arXiv:1503.02531, §2).
        """
        share = self.options.teacher_share if targets is not None else 0.0
        parts = []
        if share < 1:
            parts.append((1 - share) * self._supervised(outputs, labels))
        if share > 0 and self.options.teacher_loss == "kl":
            parts.append(share * self._divergence(logits_of(outputs), logits_of(targets)))
        elif share > 0:
            parts.append(share * distillation_loss(outputs, targets))
        return torch.stack(parts).sum()

    def _supervised(self, outputs: Any, labels: Tensor | Sequence[Boxes] | None) -> Tensor:
        if isinstance(self.task, Detection):
            assert labels is not None
            assert not isinstance(labels, Tensor)
            heads = tensors_of(outputs)
            size = heads[0].shape[-1] * self.task.strides[0]
            return yolo_loss(heads, labels, self.task, size, anchor_iou=self.options.anchor_iou)
        assert isinstance(labels, Tensor)
        logits = logits_of(outputs)
        loss = self._entropy(logits, labels)
        if isinstance(self.task, Segmentation):
            for other in tensors_of(outputs)[1:]:
                if other.shape == logits.shape:
                    loss = loss + self.options.auxiliary * self._entropy(other.float(), labels)
        return loss

    def _entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits,
            fit_labels(labels, logits),
            label_smoothing=self.options.label_smoothing,
            ignore_index=self.ignored,
        )

    def _divergence(self, logits: Tensor, teacher: Tensor) -> Tensor:
        hot = self.options.temperature
        ours = functional.log_softmax(logits / hot, dim=1)
        theirs = functional.log_softmax(teacher / hot, dim=1)
        return (theirs.exp() * (theirs - ours)).sum(1).mean() * hot**2


def fit_labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels of the shape (N, ...) that the logits (N, C, ...) ask for. Raises DataError."""
    wanted = torch.Size((logits.shape[0], *logits.shape[2:]))
    if labels.numel() != wanted.numel():
        raise DataError(
            f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}; expected "
            f"{tuple(wanted)}"
        )
    return labels.reshape(wanted)
