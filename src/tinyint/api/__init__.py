"""The verbs of the command line, in Python."""

from tinyint.api.calibrate import calibrate
from tinyint.api.doctor import Examination, doctor
from tinyint.api.inspect import Inspection, inspect
from tinyint.api.opening import benchmark, open
from tinyint.api.quantize import Result, quantize

__all__ = [
    "Examination",
    "Inspection",
    "Result",
    "benchmark",
    "calibrate",
    "doctor",
    "inspect",
    "open",
    "quantize",
]
