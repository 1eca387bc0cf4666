"""Detection in training: loss of YOLOv3's heads, which are decoded for the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from torch import Tensor

from tinyint.data import Sample
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session, get_runtime
from tinyint.tasks.detection import Detection
from tinyint.tasks.learning.learning import Labelled, Labels, LossOptions
from tinyint.tasks.learning.logits import tensors_of
from tinyint.tasks.learning.yolo import yolo_loss
from tinyint.tasks.score import split
from tinyint.tasks.tails import Suppression, detections_tail

__all__ = ["BoxLearning"]

_BOX_LOGITS = 5  # logits of an anchor before those of its classes


class BoxLearning:
    """Training interface of detection; see `Learning`."""

    def __init__(self, task: Detection) -> None:
        self.task = task

    def classes(self, outputs: Any) -> int:
        return tensors_of(outputs)[0].shape[1] // len(self.task.anchors[0]) - _BOX_LOGITS

    def loss(self, outputs: Any, labels: Labels, options: LossOptions) -> Tensor:
        assert not isinstance(labels, Tensor)
        heads = tensors_of(outputs)
        size = heads[0].shape[-1] * self.task.strides[0]
        return yolo_loss(heads, labels, self.task, size, anchor_iou=options.anchor_iou)

    def judged(
        self,
        batch: Labelled,
        outputs: Any,
        options: LossOptions,
    ) -> Iterator[tuple[Sample, Mapping[str, Array]]]:
        heads = [tensor.float().cpu().numpy() for tensor in tensors_of(outputs)]
        detections = self._tail.run(dict(zip(self.task.output_names(), heads, strict=True)))
        for i in range(batch.samples):
            yield batch.sample(i), split(detections, i, batch.samples)

    @cached_property
    def _tail(self) -> Session:
        tail = detections_tail(self.task, self.task.output_names(), Suppression())
        return get_runtime("onnxruntime").open(tail)
