"""Postprocessing as a small ONNX graph, after a session or in the file."""

from tinyint.tasks.tails.append import append
from tinyint.tasks.tails.boxes import boxes_tail, detections_tail, suppression_tail
from tinyint.tasks.tails.builder import Tail
from tinyint.tasks.tails.classes import argmax_tail, logits_output, softmax_tail
from tinyint.tasks.tails.detections import Detections, detections_of
from tinyint.tasks.tails.options import TailOptions
from tinyint.tasks.tails.session import TailedSession
from tinyint.tasks.tails.suppression import Suppression, suppression_of

__all__ = [
    "Detections",
    "Suppression",
    "Tail",
    "TailOptions",
    "TailedSession",
    "append",
    "argmax_tail",
    "boxes_tail",
    "detections_of",
    "detections_tail",
    "logits_output",
    "softmax_tail",
    "suppression_of",
    "suppression_tail",
]
