"""What tinyint makes of a network for ARM."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arm.files import SIGNED, Files

from tinyint.graph.io import load_model
from tinyint.numbers.numerics import INT8
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.calibrated import Calibration
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.ptq import Quantized, quantize
from tinyint.quantization.recipe import Recipe
from tinyint.targets import Target
from tinyint.targets.arm import ARM64

__all__ = ["ARTIFACTS", "Artifact"]


@dataclass(frozen=True)
class Artifact:
    """A recipe for a target."""

    recipe: str
    target: Target = ARM64

    def made(self, files: Files) -> Quantized:
        record = CalibrationRecord.load(files.record) if self.recipe == "default" else None
        return quantize(
            load_model(files.model("float")),
            target=self.target,
            recipe=Recipe.load(self.recipe),
            calibration=Calibration(record=record),
            name=files.network,
        )


ARTIFACTS = {
    "static": Artifact("default"),
    SIGNED: Artifact("default", replace(ARM64, activation=Scheme(qtype=INT8, symmetric=False))),
    "dynamic": Artifact("dynamic"),
    "weight_only": Artifact("weight_only"),
}
"""Those of the three methods; signed activations are what the target does without."""
