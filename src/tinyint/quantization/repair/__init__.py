"""Repair steps that lower quantization error: interface in `step`, execution in `run`."""

from tinyint.quantization.repair.run import Observe, Repaired, repair_float, repair_parameters, samples_to_run
from tinyint.quantization.repair.step import FloatStep, ParameterStep, Quantization

__all__ = [
    "FloatStep",
    "Observe",
    "ParameterStep",
    "Quantization",
    "Repaired",
    "repair_float",
    "repair_parameters",
    "samples_to_run",
]
