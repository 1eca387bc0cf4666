"""Repair steps, which lower the error of a quantized model: `step` says what one is, `run` applies a recipe's."""

from tinyint.repair.run import Observe, Repaired, repair_float, repair_parameters
from tinyint.repair.step import FloatStep, ParameterStep, Quantization

__all__ = [
    "FloatStep",
    "Observe",
    "ParameterStep",
    "Quantization",
    "Repaired",
    "repair_float",
    "repair_parameters",
]
