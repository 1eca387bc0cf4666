"""Classification: one class per sample, an image or a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from tinyint.data import LabelKind
from tinyint.numbers.numerics import Array
from tinyint.tasks.prediction import Prediction, Seen, single
from tinyint.tasks.scoring.classification import ClassificationScorer, logits_of
from tinyint.tasks.tails import Tail, TailOptions, logits_output, softmax_tail
from tinyint.tasks.task import Task

if TYPE_CHECKING:
    from tinyint.tasks.learning.learning import Learning

__all__ = ["Classification"]

_SHOWN = 5  # classes


class Classification(Task):
    """Classification by logits (N, C), of images or texts."""

    task: Literal["classification"] = "classification"

    label_kind: ClassVar = LabelKind.CLASS
    headline: ClassVar = "top1"
    tails: ClassVar = ("softmax",)
    tail_options: ClassVar = frozenset({"with_softmax"})
    entry_keys: ClassVar = frozenset({"file_name", "class", "name", "probability", "top"})
    loss_options: ClassVar = frozenset({"label_smoothing", "ignore_label", "temperature"})

    def scorer(self) -> ClassificationScorer:
        return ClassificationScorer()

    def tail(self, graph: ir.Graph, options: TailOptions) -> Tail | None:
        if not options.with_softmax:
            return None
        return Tail(softmax_tail(logits_output(graph, 2, self.task)), "softmax")

    def read(
        self,
        seen: Seen,
        outputs: Mapping[str, Array],
        present: str | None,
        score_threshold: float,
    ) -> Prediction:
        """Most likely class with its probability, and the next ones."""
        from tinyint.tasks.pictures import draw_bars

        logits = single(logits_of(outputs, seen.sample.name), seen)
        probabilities = logits if present == "softmax" else _softmax(logits)
        order = np.argsort(-probabilities, kind="stable")[:_SHOWN]
        top = [(int(c), self.name_of(int(c)), float(probabilities[c])) for c in order]
        entry = {
            "file_name": seen.sample.name,
            "class": top[0][0],
            "name": top[0][1],
            "probability": top[0][2],
            "top": [{"class": number, "name": name, "probability": p} for number, name, p in top],
        }
        return Prediction(entries=[entry], picture=None if seen.image is None else draw_bars(seen.image, top))

    def learning(self) -> Learning:
        from tinyint.tasks.learning.classes import ClassLearning

        return ClassLearning(self)


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())
