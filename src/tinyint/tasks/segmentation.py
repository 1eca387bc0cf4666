"""Segmentation: one class per pixel of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from tinyint.data import LabelKind
from tinyint.numbers.numerics import Array
from tinyint.tasks.prediction import Prediction, Seen, single
from tinyint.tasks.scoring.segmentation import SegmentationScorer, class_map
from tinyint.tasks.tails import Tail, TailOptions, argmax_tail, logits_output, softmax_tail
from tinyint.tasks.task import Task

if TYPE_CHECKING:
    from tinyint.tasks.learning.learning import Learning

__all__ = ["Segmentation"]


class Segmentation(Task):
    """Segmentation by logits (N, C, H, W) at input resolution.

    `ignore_label`: class number of pixels that are neither learned nor judged.
    """

    task: Literal["segmentation"] = "segmentation"
    ignore_label: int = 255

    label_kind: ClassVar = LabelKind.MASK
    headline: ClassVar = "miou"
    class_metric: ClassVar = "IoU"
    tails: ClassVar = ("argmax", "softmax")
    tail_options: ClassVar = frozenset({"with_softmax", "without_argmax"})
    entry_keys: ClassVar = frozenset({"file_name", "shares"})
    loss_options: ClassVar = frozenset({"label_smoothing", "ignore_label", "temperature", "auxiliary"})

    @classmethod
    def recognizes(cls, outputs: Mapping[str, Array]) -> bool:
        """Whether an output is a map of logits, or of class numbers."""
        return any(
            (a.ndim == 4 and a.shape[1] > 1 and max(a.shape[2:]) > 1)
            or (a.ndim == 3 and a.dtype.kind in "iu")
            for a in outputs.values()
        )

    def ignored(self, chosen: int | None) -> int:
        return self.ignore_label if chosen is None else chosen

    def scorer(self) -> SegmentationScorer:
        return SegmentationScorer(self)

    def tail(self, graph: ir.Graph, options: TailOptions) -> Tail | None:
        if options.with_softmax:
            return Tail(softmax_tail(logits_output(graph, 4, self.task), pixels=True), "softmax")
        if options.without_argmax:
            return None
        return Tail(argmax_tail(logits_output(graph, 4, self.task)), "argmax")

    def read(
        self,
        seen: Seen,
        outputs: Mapping[str, Array],
        present: str | None,
        score_threshold: float,
    ) -> Prediction:
        """Class of each pixel, at the image's size, and share of each class."""
        from tinyint.tasks.pictures import draw_mask, mask_image, resized

        maps, columns = class_map(outputs, seen.sample.name)
        mask = single(maps, seen)
        classes = columns or len(self.classes or ()) or int(mask.max()) + 1
        if seen.image is not None:
            mask = resized(mask, seen.image.size)
        shares = np.bincount(mask.reshape(-1), minlength=classes) / mask.size
        entry = {
            "file_name": seen.sample.name,
            "shares": {self.name_of(c): float(share) for c, share in enumerate(shares) if share},
        }
        return Prediction(
            entries=[entry],
            mask=mask_image(mask),
            picture=None if seen.image is None else draw_mask(seen.image, mask, self, classes),
        )

    def learning(self) -> Learning:
        from tinyint.tasks.learning.pixels import PixelLearning

        return PixelLearning(self)
