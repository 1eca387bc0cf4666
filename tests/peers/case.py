"""A model of a peer's test, built anew, and what it is asked after quantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from tests.graph.build import build
from tinyint.data import Sample
from tinyint.quantization.calibration import CalibrationRecord, calibrate
from tinyint.runtimes.base import Array

NOTHING = "nothing in the model would run in int8"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A float model in ONNX's text form.

    * `weights`: as for `tests.graph.build.build`; `feeds`: what inputs hold, where noise is no fit
    * `int8`: the nodes that ONNX Runtime computes in int8, and OpenVINO where `openvino` names no others
    * `refused`: instead, by target or of all, why the model is not taken, or not loaded
    * `fallen`: nodes that are planned for int8, and that a runtime computes in float all the same
    """

    text: str
    weights: Mapping[str, tuple[int, ...] | Array] = field(default_factory=dict)
    opset: int = 17
    int8: str = ""
    openvino: str | None = None
    refused: str | Mapping[str, str] = ""
    fallen: str = ""
    feeds: Mapping[str, Array] = field(default_factory=dict)

    def model(self) -> ir.Model:
        return build(self.text, self.opset, **{name: _scaled(w) for name, w in self.weights.items()})

    def expected(self, runtime: str) -> set[str]:
        named = self.int8 if runtime == "onnxruntime" or self.openvino is None else self.openvino
        return set(named.split())

    def refusal(self, target: str) -> str | None:
        return (self.refused or None) if isinstance(self.refused, str) else self.refused.get(target)

    def samples(self, count: int, seed: int) -> list[Sample]:
        generator = np.random.default_rng(seed)
        inputs = [value for value in self.model().graph.inputs if not value.is_initializer()]
        return [
            Sample(
                {v.name or "": self.feeds.get(v.name or "", _noise(v, generator)) for v in inputs},
                name=str(i),
            )
            for i in range(count)
        ]

    def record(self, prepared: ir.Model) -> CalibrationRecord:
        return calibrate(prepared, self.samples(8, seed=1), fingerprint="f", threads=1)


def _scaled(weight: tuple[int, ...] | Array) -> Array:
    """Noise for a shape, of which a product keeps the magnitude of its input."""
    if not isinstance(weight, tuple):
        return weight
    fan_in = max(int(np.prod(weight[1:])), 1) if len(weight) != 2 else weight[0]
    noise = np.random.default_rng(sum(weight)).normal(size=weight) / np.sqrt(fan_in if len(weight) > 1 else 4)
    return noise.astype(np.float32)


def _noise(value: ir.Value, generator: np.random.Generator) -> Array:
    """Normal noise for floats, 0 and 1 for integers and booleans; open dimensions are 2."""
    assert value.dtype is not None
    shape = [dim if isinstance(dim, int) and dim > 0 else 2 for dim in value.shape or ()]
    if value.dtype.is_floating_point():
        return generator.normal(size=shape).astype(value.dtype.numpy())
    return generator.integers(0, 2, shape).astype(value.dtype.numpy())


def ints(*values: int | list[int]) -> Array:
    return np.array(values, np.int64)
