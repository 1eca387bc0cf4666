"""Verification on samples: int8 in its runtime against float and simulation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tinyint.data import Sample
from tinyint.errors import DataError, DependencyError, ModelError
from tinyint.graph.names import name_of
from tinyint.graph.passes.exact_products import exact_products
from tinyint.graph.source import ModelSource, graph_of, whole
from tinyint.graph.walk import static_shape
from tinyint.numbers.distance import NoiseSum
from tinyint.numbers.numerics import Array
from tinyint.proof.columns import Columns
from tinyint.proof.compared import Compared
from tinyint.proof.outputs import NOTHING, OutputSums
from tinyint.runtimes import Runtime, Session, get_runtime
from tinyint.runtimes.base import shape_fits
from tinyint.runtimes.outputs import tensors_of

__all__ = ["Cosine", "OutputProof", "Verification", "conclude", "verify"]


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Between the rows of the float model's output and the int8 model's."""

    min: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class OutputProof:
    """One output of the int8 model, beside float; None where not compared.

    * `sqnr_db`, `simulated_sqnr_db`: as in `Verification`; `constant_db`: what the mean of the float output would have
    * `lsb_max`: the largest deviation from the simulation, in LSB
    * `columns`: the group of columns that is farthest off, where columns are of unlike magnitudes
    * `top1_agreement`: share of the `classified` rows with the same highest class
    * `equal`: share of equal elements of an integer output
    * `rows_matched`: of an output whose rows are a selection (`proof.rows`): the share that both models have
    * `unlike`: samples in which the int8 model's output has another shape, and which the others leave out
    """

    sqnr_db: float | None = None
    simulated_sqnr_db: float | None = None
    constant_db: float | None = None
    lsb_max: float | None = None
    columns: Columns | None = None
    top1_agreement: float | None = None
    classified: int = 0
    equal: float | None = None
    rows_matched: float | None = None
    unlike: int = 0

    @property
    def judged(self) -> bool:
        """Whether anything says how far the output is from float."""
        return any(figure is not None for figure in (self.sqnr_db, self.equal, self.rows_matched))


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
    * `outputs`: the same by output, the elements of a sequence apart, and what only some outputs have

    Masks, which are infinite or of a magnitude from 1e30 on, are no values, and count in no figure.

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
    outputs: Mapping[str, OutputProof] = field(default_factory=dict)


def verify(
    float_model: ModelSource,
    int8_model: ModelSource,
    samples: Iterable[Sample],
    *,
    runtime: Runtime,
    threads: int | None = None,
    held_out: bool,
) -> Verification:
    """Runs `samples` through float model, simulation (onnxruntime) and int8 model.

    One at a time.

    Raises DataError for no samples, ModelError where the outputs do not correspond or hold NaN. A dimension that the
    float model leaves open may differ.
    """
    ort = get_runtime("onnxruntime")
    reference = ort.open(
        float_model, threads=threads
    )  # first: the others fit into what its loading leaves free
    # Of its own arithmetic: a kernel that saturates must not be its own judge.
    simulation = ort.open(exact_products(whole(int8_model)), threads=threads, optimize=False)
    session = _open(runtime, int8_model, threads)
    _check_names(reference, simulation)
    declared = {name_of(value): static_shape(value) for value in graph_of(float_model).outputs}
    compared = Compared.of(graph_of(int8_model))
    for sample in samples:
        expected = tensors_of(reference.run_transient(sample.inputs))
        simulated = tensors_of(simulation.run_transient(sample.inputs))
        actual = simulated if session is None else tensors_of(session.run_transient(sample.inputs))
        for name, ours in expected.items():
            _check(name, sample, ours, actual.get(name, NOTHING), declared.get(name))
        compared.add(expected, actual, None if session is None else simulated)
    if compared.samples == 0:
        raise DataError("there are no samples to verify the int8 model on; give --data with more samples")
    where = "simulation" if session is None else runtime.name
    return conclude(compared, held_out=held_out, runtime=where)


def _open(runtime: Runtime, model: ModelSource, threads: int | None) -> Session | None:
    """The int8 model in its runtime, or None where that is not installed."""
    try:
        return runtime.open(model, threads=threads) if runtime.available() else None
    except DependencyError:
        return None


def _check_names(reference: Session, int8: Session) -> None:
    for name in reference.outputs:
        if name not in int8.outputs:
            raise ModelError(
                f"the int8 model has no output {name!r}, only {', '.join(int8.outputs)}: "
                "it was not made from this float model"
            )


def _check(
    name: str, sample: Sample, expected: Array, actual: Array, declared: tuple[int | None, ...] | None
) -> None:
    """`declared`: the shape of the output in the float model, None for a dimension that it leaves open.

    Where what it declares is not true of itself, the shape that it gives counts.
    """
    if declared is not None and not shape_fits(expected.shape, declared):
        declared = expected.shape
    if declared is not None and not shape_fits(actual.shape, declared):
        raise ModelError(
            f"output {name!r} has shape {expected.shape} in the float model and {actual.shape} in the "
            f"int8 model (sample {sample.name}): it was not made from this float model"
        )
    for model, output in (("float", expected), ("int8", actual)):
        if output.dtype.kind == "f" and np.isnan(output).any():
            raise ModelError(
                f"output {name!r} of the {model} model is NaN for sample {sample.name}; "
                "check the sample and its preprocessing"
            )


def conclude(compared: Compared, *, held_out: bool, runtime: str) -> Verification:
    """Figures of what was compared; of the runtime "simulation", none beside a simulation."""
    outputs = compared.outputs
    floats = {name: output for name, output in outputs.items() if output.is_float and not output.selects}
    integers = [output for output in outputs.values() if not output.is_float and output.elements]
    total, simulated = NoiseSum(), NoiseSum()
    for output in floats.values():
        total.merge(output.noise)
        simulated.merge(output.simulated_noise)
    classified = compared.classifying()
    rowed = next((o for o in floats.values() if o.rows), None)
    measured = runtime != "simulation"
    in_lsb = [o.deviation_max / o.lsb() for o in outputs.values() if o.is_float]
    return Verification(
        samples=compared.samples,
        held_out=held_out,
        runtime=runtime,
        sqnr_db=total.sqnr_db if total.count else None,
        simulated_sqnr_db=simulated.sqnr_db if simulated.count and measured else None,
        output_sqnr_db={name: output.noise.sqnr_db for name, output in floats.items() if output.noise.count},
        top1_agreement=None if classified is None else classified.agreeing / classified.classified,
        cosine=None if rowed is None else Cosine(min=rowed.cosine_min, mean=rowed.cosine_sum / rowed.rows),
        integers_equal=sum(o.equal for o in integers) / sum(o.elements for o in integers)
        if integers
        else None,
        lsb_over_1=compared.over_1_lsb() if measured else None,
        lsb_max=max(in_lsb, default=0.0) if measured else None,
        outputs={name: _proof_of(output, measured) for name, output in outputs.items()},
    )


def _proof_of(output: OutputSums, measured: bool) -> OutputProof:
    if not output.judged:
        return OutputProof(unlike=output.unlike)
    if output.selects:
        return OutputProof(rows_matched=output.selected.share, unlike=output.unlike)
    if not output.is_float:
        return OutputProof(equal=output.equal / output.elements, unlike=output.unlike)
    return OutputProof(
        sqnr_db=output.noise.sqnr_db,
        simulated_sqnr_db=output.simulated_noise.sqnr_db if measured else None,
        constant_db=output.noise.constant_db,
        lsb_max=output.deviation_max / output.lsb() if measured else None,
        columns=output.columns.worst(),
        top1_agreement=output.agreeing / output.classified if output.has_classes else None,
        classified=output.classified if output.has_classes else 0,
        unlike=output.unlike,
    )
