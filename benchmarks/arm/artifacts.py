"""What tinyint makes of a network for ARM, and what that gives on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arm.files import SIGNED, Feeds, Files
from arm.layers import cut, given, with_cuts

import tinyint
from tinyint.graph.io import load_model, save_model
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.source import whole
from tinyint.numbers.numerics import INT8
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.calibrated import Calibration
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.ptq import Quantized, quantize
from tinyint.quantization.recipe import Recipe
from tinyint.runtimes import get_runtime
from tinyint.runtimes.host import host
from tinyint.targets import Target
from tinyint.targets.arm import ARM64

__all__ = ["ARTIFACTS", "Artifact", "answer_in_layers", "make"]

ORT = get_runtime("onnxruntime")


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


def make(files: Files, model: Path, calibration: Sequence[Feeds], samples: Sequence[Feeds]) -> None:
    """The artifacts, what their simulation gives, and what the kernels of this machine do if their sums are exact."""
    save_model(load_model(model), files.model("float"))
    tinyint.calibrate(files.model("float"), tinyint.Samples(list(calibration), limit="all")).save(
        files.record
    )
    files.write("samples", samples)
    for name in ("float", *ARTIFACTS):
        if name != "float":
            save_model(ARTIFACTS[name].made(files).model, files.model(name))
        simulate(files, name)
        if not host().pair_sums_saturate:
            session = ORT.open(files.model(name), threads=1)
            files.write(f"{name} on x86", [session.run(feeds) for feeds in files.read("samples")])
            answer_in_layers(files, name, "x86")


def simulate(files: Files, artifact: str) -> None:
    """Writes what it gives op by op, at its cuts too, and the model in layers with what they are given."""
    model = whole(files.model(artifact))
    session = ORT.open(exact_products(with_cuts(model)), optimize=artifact == "float")
    samples = list(files.read("samples"))
    outputs = [session.run(feeds) for feeds in samples]
    files.write(artifact, outputs)
    inputs = [given(model, *both) for both in zip(samples, outputs, strict=True)]
    if len(inputs[0]) > len(samples[0]):
        save_model(cut(model, outputs[0]), files.layers(artifact))
        files.write(f"{artifact} in layers, given", inputs)


def answer_in_layers(files: Files, artifact: str, where: str) -> None:
    """Writes what the layers give here, of a model that has some."""
    if files.layers(artifact).exists():
        session = ORT.open(files.layers(artifact), threads=1)
        inputs = files.read(f"{artifact} in layers, given")
        files.write(f"{artifact} in layers on {where}", [session.run(feeds) for feeds in inputs])
