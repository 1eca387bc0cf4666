"""The verbs of the command line, in Python."""

from tinyint.api.advise import advise
from tinyint.api.benchmark import benchmark
from tinyint.api.budget import WithinBudget, quantize_within
from tinyint.api.calibrate import calibrate
from tinyint.api.check import check
from tinyint.api.doctor import Examination, doctor
from tinyint.api.evaluate import compare, evaluate
from tinyint.api.export import Exported, export
from tinyint.api.inspect import Inspection, inspect
from tinyint.api.open_model import OpenModel
from tinyint.api.opening import open  # noqa: A004  the verb
from tinyint.api.predict import Predicted, predict
from tinyint.api.preprocess import Preprocessed, preprocess
from tinyint.api.quantize import Result, quantize
from tinyint.api.sensitivity import sensitivity
from tinyint.proof.regression import Check
from tinyint.tasks.score import Evaluation

__all__ = [
    "Check",
    "Evaluation",
    "Examination",
    "Exported",
    "Inspection",
    "OpenModel",
    "Predicted",
    "Preprocessed",
    "Result",
    "WithinBudget",
    "advise",
    "benchmark",
    "calibrate",
    "check",
    "compare",
    "doctor",
    "evaluate",
    "export",
    "inspect",
    "open",
    "predict",
    "preprocess",
    "quantize",
    "quantize_within",
    "sensitivity",
]
