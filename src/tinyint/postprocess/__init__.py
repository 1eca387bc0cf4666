"""From a network's raw outputs to what its users want: a small ONNX graph a task, behind a session or in the file."""

from tinyint.postprocess.append import append, postprocessing_of
from tinyint.postprocess.detections import Detections, detections_of
from tinyint.postprocess.session import TailedSession
from tinyint.postprocess.suppression import Suppression, suppression_of
from tinyint.postprocess.tails import (
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
