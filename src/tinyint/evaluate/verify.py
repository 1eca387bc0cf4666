"""Proof on samples: how far the int8 model in its runtime is from the float model, and from its own simulation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.data import Sample
from tinyint.errors import DataError, DependencyError, ModelError
from tinyint.evaluate.metrics import NoiseSum, blocks, cosine
from tinyint.graph.flow import range_source
from tinyint.graph.walk import constant_of
from tinyint.numerics import Array
from tinyint.observers import Histogram
from tinyint.runtimes import Runtime, Session, get_runtime
from tinyint.runtimes.base import ModelSource
from tinyint.runtimes.source import graph_of

__all__ = ["Cosine", "Verification", "verify"]

_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Between the rows of the float model's output and the int8 model's."""

    min: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The int8 model against the float model, and against the op-by-op simulation of itself.

    * `samples`: how many; `held_out`: whether they had no part in calibration
    * `runtime`: where the int8 model ran; "simulation" where its own runtime does not run here
    * `sqnr_db`: over all float outputs together; None if there are none, inf if they are equal
    * `simulated_sqnr_db`: the same of the simulation, which the runtime should reach; None if it stood in
    * `output_sqnr_db`: of each float output
    * `top1_agreement`: share of rows with the same highest class, of the first output of shape (N, classes); None if
      there is none, or if its rows are embeddings: of length 1, with negative elements
    * `cosine`: of the rows of the first float output that has several elements a row
    * `integers_equal`: share of equal elements of integer outputs
    * `lsb_over_1`: share of elements that are off from the simulation by more than 1 LSB; None if it stood in
    * `lsb_max`: the largest deviation of a float output from the simulation, in LSB

    The LSB of an output is the scale of its own quantizer, or else 1/255 of the range, with zero, that the
    simulation gave it.
    """

    samples: int
    held_out: bool
    runtime: str
    sqnr_db: float | None
    simulated_sqnr_db: float | None
    output_sqnr_db: Mapping[str, float]
    top1_agreement: float | None
    cosine: Cosine | None
    integers_equal: float | None
    lsb_over_1: float | None
    lsb_max: float | None


def verify(
    float_model: ModelSource,
    int8_model: ModelSource,
    samples: Iterable[Sample],
    *,
    runtime: Runtime,
    threads: int | None = None,
    held_out: bool,
) -> Verification:
    """Runs `samples` one at a time through the float model and the simulation (onnxruntime) and the int8 model.

    Raises DataError for no samples, ModelError where the outputs do not correspond or hold NaN.
    """
    ort = get_runtime("onnxruntime")
    reference = ort.open(
        float_model, threads=threads
    )  # first: the others fit into what its loading leaves free
    simulation = ort.open(int8_model, threads=threads, optimize=False)
    session = _open(runtime, int8_model, threads)
    steps = _steps(graph_of(int8_model))
    compared = {name: _Output(step=steps.get(name)) for name in reference.outputs}
    count = 0
    for sample in samples:
        expected = reference.run_transient(sample.inputs)
        simulated = simulation.run_transient(sample.inputs)
        actual = simulated if session is None else session.run_transient(sample.inputs)
        for name, output in compared.items():
            _check(name, sample, expected, actual)
            output.add(expected[name], actual[name], None if session is None else simulated[name])
        count += 1
    if count == 0:
        raise DataError("there are no samples to verify the int8 model on; give --data with more samples")
    where = "simulation" if session is None else runtime.name
    return _conclude(compared, samples=count, held_out=held_out, runtime=where)


def _open(runtime: Runtime, model: ModelSource, threads: int | None) -> Session | None:
    """The int8 model in its runtime, or None where that is not installed."""
    try:
        return runtime.open(model, threads=threads) if runtime.available() else None
    except DependencyError:
        return None


def _steps(graph: ir.Graph) -> dict[str, float]:
    """The scale of each graph output that comes from a quantizer, directly or through operators that move values."""
    steps = {}
    for output in graph.outputs:
        producer = range_source(output).producer()
        if producer is not None and producer.op_type == "DequantizeLinear":
            scale = constant_of(producer.inputs[1])
            if scale is not None and scale.size == 1:
                steps[output.name or ""] = float(scale.reshape(()))
    return steps


def _check(name: str, sample: Sample, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> None:
    if name not in actual:
        raise ModelError(
            f"the int8 model has no output {name!r}, only {', '.join(actual)}: it was not made from this float model"
        )
    if expected[name].shape != actual[name].shape:
        raise ModelError(
            f"output {name!r} has shape {expected[name].shape} in the float model and {actual[name].shape} in the "
            f"int8 model (sample {sample.name}): it was not made from this float model"
        )
    for model, outputs in (("float", expected), ("int8", actual)):
        if outputs[name].dtype.kind == "f" and np.isnan(outputs[name]).any():
            raise ModelError(
                f"output {name!r} of the {model} model is NaN for sample {sample.name}; "
                "check the sample and its preprocessing"
            )


@dataclass(kw_only=True)
class _Output:
    """One output, summed up over the samples. `step`: its LSB, if its own quantizer sets it."""

    step: float | None
    is_float: bool = True
    noise: NoiseSum = field(default_factory=NoiseSum)
    simulated_noise: NoiseSum = field(default_factory=NoiseSum)
    elements: int = 0
    equal: int = 0
    rows: int = 0
    agreeing: int | None = None
    embeddings: int = 0
    cosine_sum: float = 0.0
    cosine_min: float = 1.0
    deviations: Histogram = field(default_factory=Histogram)
    deviation_max: float = 0.0
    different: int = 0  # elements of an integer output, or more than 1 LSB where the LSB is known beforehand
    lo: float = 0.0  # of the simulation; zero is in the range of every quantizer
    hi: float = 0.0

    def add(self, expected: Array, actual: Array, simulated: Array | None) -> None:
        self.is_float = expected.dtype.kind == "f"
        self.elements += actual.size
        if self.is_float:
            self._add_float(expected, actual)
        else:
            self.equal += int(np.count_nonzero(expected == actual))
        if simulated is not None:
            if self.is_float:
                self.simulated_noise.add(expected, simulated)
            self._add_deviation(actual, simulated)

    def _add_float(self, expected: Array, actual: Array) -> None:
        self.noise.add(expected, actual)
        if expected.ndim < 2 or expected[:1].size < 2:
            return
        rows = len(expected)
        self.rows += rows
        if expected.ndim == 2:
            same = expected.argmax(axis=1) == actual.argmax(axis=1)
            self.agreeing = (self.agreeing or 0) + int(np.count_nonzero(same))
            self.embeddings += int(np.count_nonzero(_are_embeddings(expected)))
        for row in range(rows):
            value = cosine(expected[row], actual[row])
            self.cosine_sum += value
            self.cosine_min = min(self.cosine_min, value)

    def _add_deviation(self, actual: Array, simulated: Array) -> None:
        if not self.is_float:
            self.different += int(np.count_nonzero(actual != simulated))
            return
        for a, s in blocks(actual, simulated):
            finite = np.isfinite(a) & np.isfinite(s)
            self.different += int(np.count_nonzero(a[~finite] != s[~finite]))
            distance = np.abs(a[finite] - s[finite])
            if not distance.size:
                continue
            self.deviation_max = max(self.deviation_max, float(distance.max()))
            if self.step is not None:
                # Both are multiples of the step, but for the rounding of float32.
                self.different += int(np.count_nonzero(np.rint(distance / self.step) > 1))
            else:
                self.deviations.update(distance.astype(np.float32))
                self.lo, self.hi = min(self.lo, float(s[finite].min())), max(self.hi, float(s[finite].max()))

    def lsb(self) -> float:
        return self.step if self.step is not None else max((self.hi - self.lo) / 255, _SMALLEST)

    def over_1(self) -> int:
        """Elements off by more than 1 LSB; without a quantizer, to within 1/4096 of the largest deviation."""
        if self.step is not None or not self.deviations.total:
            return self.different
        edges, counts = self.deviations.trimmed()
        return self.different + int(counts[edges[:-1] >= self.lsb()].sum())


def _are_embeddings(rows: Array) -> NDArray[np.bool_]:
    """Which rows (N, D) lie on the unit sphere; a row of probabilities that does has no negative elements."""
    length = np.linalg.norm(rows.astype(np.float64), axis=1)
    return np.asarray((np.abs(length - 1.0) < 1e-3) & (rows < 0).any(axis=1))


def _conclude(outputs: Mapping[str, _Output], *, samples: int, held_out: bool, runtime: str) -> Verification:
    floats = {name: output for name, output in outputs.items() if output.is_float}
    integers = [output for output in outputs.values() if not output.is_float]
    total, simulated = NoiseSum(), NoiseSum()
    for output in floats.values():
        total.merge(output.noise)
        simulated.merge(output.simulated_noise)
    classified = next((o for o in floats.values() if o.agreeing is not None and o.embeddings < o.rows), None)
    rowed = next((o for o in floats.values() if o.rows), None)
    measured = runtime != "simulation"
    elements = sum(output.elements for output in outputs.values())
    in_lsb = [o.deviation_max / o.lsb() for o in floats.values()]
    return Verification(
        samples=samples,
        held_out=held_out,
        runtime=runtime,
        sqnr_db=total.sqnr_db if floats else None,
        simulated_sqnr_db=simulated.sqnr_db if floats and measured else None,
        output_sqnr_db={name: output.noise.sqnr_db for name, output in floats.items()},
        top1_agreement=None if classified is None else (classified.agreeing or 0) / classified.rows,
        cosine=None if rowed is None else Cosine(min=rowed.cosine_min, mean=rowed.cosine_sum / rowed.rows),
        integers_equal=sum(o.equal for o in integers) / sum(o.elements for o in integers)
        if integers
        else None,
        lsb_over_1=sum(o.over_1() for o in outputs.values()) / elements if measured and elements else None,
        lsb_max=max(in_lsb, default=0.0) if measured else None,
    )
