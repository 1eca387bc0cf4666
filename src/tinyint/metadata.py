"""The keys under which tinyint writes into the metadata of a model."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CALIBRATION",
    "DECISIONS",
    "FLOAT_NODES",
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
TRAINED_FOR: Final = "tinyint.trained_for"  # the target, where it is exported for another one
RECIPE: Final = "tinyint.recipe"  # YAML
DECISIONS: Final = "tinyint.decisions"  # JSON: of the steps that read the data
FLOAT_NODES: Final = "tinyint.float_nodes"  # JSON: names, each with the reason
CALIBRATION: Final = "tinyint.calibration"  # the identity of the record

TASK: Final = "tinyint.task"
PREPROCESSING: Final = "tinyint.preprocessing"
POSTPROCESSING: Final = "tinyint.postprocess"
SUPPRESSION: Final = "tinyint.suppression"
OUTPUTS: Final = "tinyint.outputs"  # how the module returned them
