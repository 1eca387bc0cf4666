"""From a network's raw outputs to what its users want: a small ONNX graph a task, behind a session or in the file."""

from tinyint.tasks.tails.append import append, postprocessing_of
from tinyint.tasks.tails.detections import Detections, detections_of
from tinyint.tasks.tails.session import TailedSession
from tinyint.tasks.tails.suppression import Suppression, suppression_of
from tinyint.tasks.tails.tails import (
    Postprocessing,
    argmax_tail,
    boxes_tail,
    detections_tail,
    softmax_tail,
    suppression_tail,
)

__all__ = [
    "Detections",
    "Postprocessing",
    "Suppression",
    "TailedSession",
    "append",
    "argmax_tail",
    "boxes_tail",
    "detections_of",
    "detections_tail",
    "postprocessing_of",
    "softmax_tail",
    "suppression_of",
    "suppression_tail",
]
