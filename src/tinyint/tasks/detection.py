"""Detection: boxes of objects, by the heads of YOLOv3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeAlias

import onnx_ir as ir
from pydantic import Field, model_validator

from tinyint.data import LabelKind
from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.numbers.numerics import Array
from tinyint.runtimes import Session
from tinyint.tasks.prediction import Prediction, Seen
from tinyint.tasks.scoring.detection import DetectionScorer
from tinyint.tasks.tails import (
    Detections,
    Suppression,
    Tail,
    TailedSession,
    TailOptions,
    boxes_tail,
    detections_of,
    detections_tail,
    suppression_tail,
)
from tinyint.tasks.tails.detections import image_size
from tinyint.tasks.task import Task

if TYPE_CHECKING:
    from tinyint.tasks.learning.learning import Learning

__all__ = ["Detection"]

Side: TypeAlias = Annotated[float, Field(gt=0)]


class Detection(Task):
    """YOLOv3 detection by heads of logits (N, A·(5 + C), H/s, W/s) per stride s.

    The channels of an anchor are tx, ty, tw, th, objectness and the C classes.

    * `anchors`: the A pairs (width, height) of each head, in pixels of the network's input
    * `strides`: stride of each head, in the order of the model's outputs (the coarsest first)
    """

    task: Literal["detection"] = "detection"
    anchors: Annotated[tuple[tuple[tuple[Side, Side], ...], ...], Field(min_length=1)]
    strides: tuple[Annotated[int, Field(gt=0)], ...]

    label_kind: ClassVar = LabelKind.BOXES
    headline: ClassVar = "AP"
    class_metric: ClassVar = "AP"
    tails: ClassVar = ("boxes", "detections")
    tail_options: ClassVar = frozenset({"nms"})
    entry_keys: ClassVar = frozenset({"image_id", "file_name", "category_id", "name", "bbox", "score"})
    loss_options: ClassVar = frozenset({"anchor_iou"})
    gives_logits: ClassVar = False
    takes_squares: ClassVar = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.anchors) != len(self.strides):
            raise ValueError(
                f"there are anchors for {len(self.anchors)} heads and strides for {len(self.strides)}"
            )
        if not all(self.anchors):
            raise ValueError("every head needs an anchor")
        return self

    @classmethod
    def undescribed(cls) -> Self:
        raise ModelError(
            "the model's metadata do not say which anchors and strides its heads have (tinyint.task), without which "
            "its boxes cannot be decoded; export it with `tinyint zoo export`, or add `Detection(...).to_metadata()`"
        )

    def output_names(self) -> list[str]:
        return [f"head_{i}" for i in range(len(self.strides))]

    def scorer(self) -> DetectionScorer:
        return DetectionScorer(self)

    def decided(
        self,
        session: Session,
        present: str | None = None,
        *,
        suppression: Suppression | None = None,
        threads: int | None = None,
    ) -> Session:
        """Session with decoding and NMS, whose output is `detections`."""
        if present == "detections":
            return session
        settings = suppression or Suppression()
        if present == "boxes":
            return TailedSession(session, suppression_tail(settings), threads)
        return TailedSession(session, detections_tail(self, session.outputs, settings), threads)

    def tail(self, graph: ir.Graph, options: TailOptions) -> Tail | None:
        names = [name_of(value) for value in graph.outputs]
        if options.nms is not None:
            return Tail(detections_tail(self, names, options.nms), "detections")
        return Tail(boxes_tail(self, names), "boxes")

    def read(
        self,
        seen: Seen,
        outputs: Mapping[str, Array],
        present: str | None,
        score_threshold: float,
    ) -> Prediction:
        """One entry per box, as in COCO's results; `category_id` counts from 0."""
        from tinyint.tasks.pictures import draw_boxes

        size = seen.image.size[::-1] if seen.image is not None else image_size(seen.sample.inputs)
        detections = detections_of(outputs, seen.sample.inputs, size, seen.sample.name)
        passes = detections.scores >= score_threshold
        detections = Detections(
            boxes=detections.boxes[passes],
            classes=detections.classes[passes],
            scores=detections.scores[passes],
        ).best(len(detections.scores))
        entries = []
        for box, number, score in zip(
            detections.boxes.tolist(), detections.classes.tolist(), detections.scores.tolist(), strict=True
        ):
            x1, y1, x2, y2 = box
            entry = {"image_id": seen.image_id, "file_name": seen.sample.name, "category_id": number}
            entry |= {"name": self.name_of(number), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            entries.append(entry)
        return Prediction(
            entries=entries, picture=None if seen.image is None else draw_boxes(seen.image, detections, self)
        )

    def learning(self) -> Learning:
        from tinyint.tasks.learning.boxes import BoxLearning

        return BoxLearning(self)
