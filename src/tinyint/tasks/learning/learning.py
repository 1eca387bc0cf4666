"""Interface of tasks in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from tinyint.data import Boxes, Sample
from tinyint.numbers.numerics import Array

__all__ = ["Labelled", "Labels", "Learning", "LossOptions"]

Labels = Tensor | Sequence[Boxes]
"""Class numbers (N, …), or the boxes of each image."""


class LossOptions(Protocol):
    """Loss options in a training's config; see `Task.loss_options`."""

    @property
    def label_smoothing(self) -> float: ...

    @property
    def ignore_label(self) -> int | None: ...

    @property
    def auxiliary(self) -> float: ...

    @property
    def anchor_iou(self) -> float: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Batch of validation samples.

    * `inputs`: tensors by name, joined along the batch axis
    * `first`: number of its first sample
    """

    inputs: Mapping[str, Tensor]
    labels: Labels
    samples: int
    first: int

    def sample(self, i: int) -> Sample:
        label = self.labels[i]
        inputs = {name: tensor[i : i + 1].numpy() for name, tensor in self.inputs.items()}
        name = f"validation sample {self.first + i}"
        return Sample(inputs, label.numpy() if isinstance(label, Tensor) else label, name)


class Learning(Protocol):
    """Training interface of a task; `outputs` are those that the model returned."""

    def classes(self, outputs: Any) -> int:
        """Number of the model's classes."""
        ...

    def loss(self, outputs: Any, labels: Labels, options: LossOptions) -> Tensor:
        """Mean loss of the batch, a float32 scalar. Raises DataError and ModelError."""
        ...

    def judged(
        self, batch: Labelled, outputs: Any, options: LossOptions
    ) -> Iterator[tuple[Sample, Mapping[str, Array]]]:
        """(sample, outputs) for the task's scorer."""
        ...
