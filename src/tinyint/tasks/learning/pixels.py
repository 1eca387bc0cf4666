"""Segmentation in training: cross entropy of the logits and of auxiliary outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from tinyint.data import Sample
from tinyint.numbers.numerics import Array
from tinyint.tasks.learning.classes import ClassLearning
from tinyint.tasks.learning.learning import Labelled, Labels, LossOptions
from tinyint.tasks.learning.logits import logits_of, tensors_of
from tinyint.tasks.score import split

__all__ = ["PixelLearning"]


class PixelLearning(ClassLearning):
    """Training interface of segmentation; see `Learning`."""

    def loss(self, outputs: Any, labels: Labels, options: LossOptions) -> Tensor:
        logits = logits_of(outputs)
        loss = self._entropy(logits, labels, options)
        for other in tensors_of(outputs)[1:]:
            if other.shape == logits.shape:
                loss = loss + options.auxiliary * self._entropy(other.float(), labels, options)
        return loss

    def judged(
        self, batch: Labelled, outputs: Any, options: LossOptions
    ) -> Iterator[tuple[Sample, Mapping[str, Array]]]:
        logits = {"logits": tensors_of(outputs)[0].float().cpu().numpy()}
        for i in range(batch.samples):
            yield batch.sample(i), split(logits, i, batch.samples)
