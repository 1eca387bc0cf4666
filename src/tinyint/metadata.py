"""Keys of tinyint's entries in the metadata of a model."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CALIBRATION",
    "DECISIONS",
    "FLOAT_NODES",
    "FOLDED",
    "METHOD",
    "OUTPUTS",
    "POSTPROCESSING",
    "PREPROCESSING",
    "RECIPE",
    "SUPPRESSION",
    "TARGET",
    "TASK",
    "TRAINED_FOR",
    "VERSION",
]

VERSION: Final = "tinyint.version"
METHOD: Final = "tinyint.method"
TARGET: Final = "tinyint.target"
TRAINED_FOR: Final = "tinyint.trained_for"  # target of the training, if it is exported for another
RECIPE: Final = "tinyint.recipe"  # YAML
DECISIONS: Final = "tinyint.decisions"  # JSON: decisions of the steps that read the data
FLOAT_NODES: Final = "tinyint.float_nodes"  # JSON: reasons by node name
CALIBRATION: Final = "tinyint.calibration"  # identity of the calibration record

TASK: Final = "tinyint.task"
PREPROCESSING: Final = "tinyint.preprocessing"
FOLDED: Final = "tinyint.folded_preprocessing"  # YAML: what of it is in the graph, which takes pixels
POSTPROCESSING: Final = "tinyint.postprocess"
SUPPRESSION: Final = "tinyint.suppression"
OUTPUTS: Final = "tinyint.outputs"  # JSON: structure of the module's outputs
