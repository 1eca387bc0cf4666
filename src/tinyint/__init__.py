"""tinyint: 8-bit models, proved on the runtime that they are for.

    import tinyint
    result = tinyint.quantize("model.onnx", "images/", output="model.int8.onnx")
    session = tinyint.open("model.int8.onnx")

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyint.api.advise import advise
    from tinyint.api.benchmark import benchmark
    from tinyint.api.budget import quantize_within
    from tinyint.api.calibrate import calibrate
    from tinyint.api.check import check
    from tinyint.api.doctor import doctor
    from tinyint.api.evaluate import compare, evaluate
    from tinyint.api.export import export
    from tinyint.api.inspect import inspect
    from tinyint.api.opening import open  # noqa: A004  the verb
    from tinyint.api.predict import predict
    from tinyint.api.preprocess import preprocess
    from tinyint.api.quantize import Result, quantize
    from tinyint.api.sensitivity import sensitivity
    from tinyint.data import Preprocessing, Samples, TextPreprocessing
    from tinyint.errors import (
        DataError,
        DependencyError,
        ModelError,
        OutputError,
        RecipeError,
        RecordError,
        ReportError,
        TargetError,
        TinyintError,
        TinyintWarning,
    )
    from tinyint.loading import load
    from tinyint.proof import Report
    from tinyint.proof.tester import Measurement
    from tinyint.quantization.calibration import CalibrationRecord
    from tinyint.quantization.recipe import Recipe
    from tinyint.report.progress import progress
    from tinyint.runtimes.run import Run
    from tinyint.tune.budget import Budget

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "CalibrationRecord",
    "DataError",
    "DependencyError",
    "Measurement",
    "ModelError",
    "OutputError",
    "Preprocessing",
    "Recipe",
    "RecipeError",
    "RecordError",
    "Report",
    "ReportError",
    "Result",
    "Run",
    "Samples",
    "TargetError",
    "TextPreprocessing",
    "TinyintError",
    "TinyintWarning",
    "advise",
    "benchmark",
    "calibrate",
    "check",
    "compare",
    "doctor",
    "evaluate",
    "export",
    "inspect",
    "load",
    "open",
    "predict",
    "preprocess",
    "progress",
    "quantize",
    "quantize_within",
    "sensitivity",
]

_HOME = {
    **dict.fromkeys(
        (
            "Result",
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
            "quantize_within",
            "sensitivity",
        ),
        "tinyint.api",
    ),
    "Budget": "tinyint.tune.budget",
    "CalibrationRecord": "tinyint.quantization.calibration",
    "Measurement": "tinyint.proof.tester",
    "Preprocessing": "tinyint.data",
    "Run": "tinyint.runtimes.run",
    "Samples": "tinyint.data",
    "TextPreprocessing": "tinyint.data",
    "Recipe": "tinyint.quantization.recipe",
    "load": "tinyint.loading",
    "Report": "tinyint.proof",
    "progress": "tinyint.report.progress",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_HOME.get(name, "tinyint.errors")), name)
    if name in ("api", "qat"):
        return import_module(f"tinyint.{name}")
    raise AttributeError(f"module 'tinyint' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "api", "qat"]
