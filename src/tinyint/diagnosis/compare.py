"""Comparison of every quantized tensor with the float one: worst first, with causes.

A tensor has two figures: the error of its own rounding and clipping (local), and the error that has accumulated in the
int8 model up to it (cumulative). The int8 model is simulated op by op, so that every tensor of the file is accessible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import onnx_ir as ir

from tinyint.data import Sample
from tinyint.diagnosis.causes import Cause, TensorSums, explain_activation, explain_constant
from tinyint.diagnosis.matched import ANOTHER, Matched
from tinyint.diagnosis.pairs import Activation, Constant, Pairs
from tinyint.errors import DataError, ModelError
from tinyint.graph.dead_zones import live_range
from tinyint.graph.names import name_of
from tinyint.graph.walk import static_shape
from tinyint.numbers.numerics import Array
from tinyint.proof.outputs import NOTHING
from tinyint.proof.rows import shape_depends_on_values
from tinyint.runtimes import Session, get_runtime
from tinyint.runtimes.outputs import tensors_of

__all__ = ["Comparison", "TensorComparison", "compare", "compare_matched"]

_BYTES_A_PASS = 256 << 20
"""Most bytes of tensors that are fetched at once; a model with more runs several times over the samples."""


@dataclass(frozen=True, kw_only=True)
class TensorComparison:
    """Comparison of one tensor; its SQNR are in dB, inf without any error.

    * `op`: operator whose output an activation or output is, or that reads a constant
    * `local_db`: SQNR of its own quantization; None for an output without a quantizer
    * `cumulative_db`: SQNR of the int8 model up to it; None for a constant
    * `cause`, `detail`: cause of the error, and the figures that show it
    """

    name: str
    op: str
    kind: Literal["activation", "weight", "bias", "output"]
    local_db: float | None
    cumulative_db: float | None
    cause: Cause
    detail: str

    @property
    def worst_db(self) -> float:
        return min(db for db in (self.local_db, self.cumulative_db, math.inf) if db is not None)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of an int8 model with its float model.

    * `rows`: tensors, worst first
    * `unmatched`: quantized tensors without a counterpart of the same name in the float model
    * `unlike`: for tensors whose shapes depend on values, the number of samples with another shape in the int8 model;
      the tensor's row is of the other samples, and missing if there are none
    * `notices`: sentences for the user
    """

    rows: tuple[TensorComparison, ...]
    unmatched: tuple[str, ...]
    samples: int
    unlike: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def compare(
    float_model: ir.Model,
    int8_model: ir.Model,
    data: Iterable[Sample],
    *,
    threads: int | None = None,
) -> Comparison:
    """Compares tensors of any Q/DQ model with those of its float model.

    It reads `data` in memory that does not grow with them. If the tensors are too large to be fetched at once, it reads
    the samples several times, so `data` must be re-iterable, as a Dataset is.

    Raises ModelError if the two models do not belong together, DataError if there are no samples.
    """
    matched = Matched.of(float_model, int8_model)
    return compare_matched(matched, data, threads=threads)


def compare_matched(
    matched: Matched, data: Iterable[Sample], *, also: Iterable[str] = (), threads: int | None = None
) -> Comparison:
    """As `compare`, of models that are matched.

    `also`: further tensors that both graphs compute, without quantizers; where one is NaN, its row is missing.
    """
    pairs = matched.pairs
    measured, count = _measure(matched, data, frozenset(also), threads)
    rows = [_activation_row(item) for item in measured if item.sums.elements]
    constants = [_constant_row(constant, pairs.constants) for constant in pairs.constants]
    _check_weights(rows, constants)
    ordered = sorted(rows + constants, key=_badness)
    unlike = {item.name: item.sums.unlike for item in measured if item.sums.unlike}
    return Comparison(rows=tuple(ordered), unmatched=pairs.unmatched, samples=count, unlike=unlike)


def _badness(row: TensorComparison) -> tuple[bool, float, str]:
    """Sort key: worst first; biases without overflow last, as their errors do not matter."""
    return row.kind == "bias" and row.cause is Cause.FINE, row.worst_db, row.name


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tensor:
    """Tensor that is fetched from both models, with its name in each."""

    name: str
    in_int8: str
    op: str
    is_output: bool
    sums: TensorSums
    may_lack: bool = False  # where it cannot be compared, it is left out


def _measure(
    matched: Matched, data: Iterable[Sample], also: frozenset[str], threads: int | None
) -> tuple[list[_Tensor], int]:
    prepared, int8_model, pairs = matched.prepared, matched.int8, matched.pairs
    values = _values(prepared.graph)
    tensors = [_quantized(activation, values.get(activation.name)) for activation in pairs.activations]
    tensors += _plain_outputs(prepared.graph, pairs)
    tensors += _further(also.difference(tensor.name for tensor in tensors), values)
    elements: dict[str, _Tensor] = {}
    count = 0
    for position, part in enumerate(_parts(tensors, values)):
        reference = _expose(prepared, [t.name for t in part], True, threads)
        simulated = _expose(int8_model, [t.in_int8 for t in part], False, threads)
        count = 0
        for sample in data:
            expected = {**sample.inputs, **tensors_of(reference.run_transient(sample.inputs))}
            found = {**sample.inputs, **tensors_of(simulated.run_transient(sample.inputs))}
            for tensor in part:
                value = values.get(tensor.name)
                _add(tensor, expected[tensor.name], found[tensor.in_int8], value, sample)
            if position == 0:  # all passes have the same ones
                _add_elements(elements, prepared.graph, expected, found, sample)
            count += 1
        if count == 0:
            raise DataError("there are no samples to compare the models on; give --data")
    return [*tensors, *elements.values()], count


def _add_elements(
    elements: dict[str, _Tensor],
    graph: ir.Graph,
    expected: Mapping[str, Array],
    found: Mapping[str, Array],
    sample: Sample,
) -> None:
    """Adds elements of outputs that are sequences or maps, which a run shows."""
    for value in graph.outputs:
        if isinstance(value.type, ir.TensorType):
            continue
        for name, array in expected.items():
            if array.dtype.kind == "f" and (name == value.name or name.startswith(f"{value.name}[")):
                tensor = elements.setdefault(name, _output(name, value))
                _add(tensor, array, found.get(name, NOTHING), value, sample)


def _quantized(activation: Activation, value: ir.Value | None) -> _Tensor:
    sums = TensorSums(params=activation.params, live=None if value is None else live_range(value))
    return _Tensor(
        name=activation.name, in_int8=activation.codes, op=activation.op, is_output=False, sums=sums
    )


def _plain_outputs(graph: ir.Graph, pairs: Pairs) -> Iterator[_Tensor]:
    quantized = {activation.name for activation in pairs.activations}
    for value in graph.outputs:
        if value.name not in quantized and value.type == ir.TensorType(ir.DataType.FLOAT):
            yield _output(name_of(value), value)


def _further(names: Iterable[str], values: Mapping[str, ir.Value]) -> Iterator[_Tensor]:
    for name in sorted(names):
        value = values.get(name)
        if value is not None and value.type == ir.TensorType(ir.DataType.FLOAT):
            yield replace(_output(name, value), is_output=False, may_lack=True)


def _output(name: str, value: ir.Value) -> _Tensor:
    producer = value.producer()
    op = producer.op_type if producer else "Input"
    return _Tensor(name=name, in_int8=name, op=op, is_output=True, sums=TensorSums(params=None))


def _parts(tensors: Sequence[_Tensor], values: dict[str, ir.Value]) -> Iterator[list[_Tensor]]:
    """Portions of the tensors that fit `_BYTES_A_PASS`: at least one, of at least one tensor."""
    part: list[_Tensor] = []
    size = 0
    for tensor in tensors:
        shape = static_shape(values.get(tensor.name)) or ()
        needed = 5 * math.prod(1 if dim is None else dim for dim in shape)  # float32, and the code
        if part and size + needed > _BYTES_A_PASS:
            yield part
            part, size = [], 0
        part.append(tensor)
        size += needed
    yield part


def _expose(model: ir.Model, names: Iterable[str], optimize: bool, threads: int | None) -> Session:
    """Session of the model with the values of these names as further outputs."""
    model = model.clone()
    values = _values(model.graph)
    for name in names:
        value = values.get(name)
        if value is None:
            raise ModelError(f"the int8 model has no tensor {name!r}: {ANOTHER}")
        if value.is_graph_input() or value.is_graph_output():
            continue
        if value.dtype is None:
            value.dtype = _written_type(value)
        model.graph.outputs.append(value)
    return get_runtime("onnxruntime").open(model, threads=threads, optimize=optimize)


def _written_type(value: ir.Value) -> ir.DataType:
    producer = value.producer()
    if producer is None or producer.op_type != "QuantizeLinear":
        return ir.DataType.FLOAT
    zero_point = producer.inputs[2] if len(producer.inputs) > 2 else None
    dtype = None if zero_point is None else zero_point.dtype
    return ir.DataType.UINT8 if dtype is None else dtype


def _values(graph: ir.Graph) -> dict[str, ir.Value]:
    computed = [value for node in graph for value in node.outputs]
    return {value.name: value for value in (*graph.inputs, *computed) if value.name}


def _add(tensor: _Tensor, expected: Array, found: Array, value: ir.Value | None, sample: Sample) -> None:
    """Adds a sample to a tensor's sums; `value` is the tensor in the float graph."""
    if tensor.may_lack and (expected.shape != found.shape or np.isnan(expected).any()):
        tensor.sums.unlike += 1
        return
    if expected.shape != found.shape and not shape_depends_on_values(value):
        raise ModelError(
            f"tensor {tensor.name!r} has shape {expected.shape} in the float model and {found.shape} in the int8 "
            f"model: {ANOTHER}"
        )
    if np.isnan(expected).any():
        raise ModelError(f"tensor {tensor.name!r} of the float model is NaN for sample {sample.name}")
    if expected.shape != found.shape:
        tensor.sums.unlike += 1
    else:
        tensor.sums.add(expected, found)


def _activation_row(tensor: _Tensor) -> TensorComparison:
    sums = tensor.sums
    cause, detail = explain_activation(sums)
    return TensorComparison(
        name=tensor.name,
        op=tensor.op,
        kind="output" if tensor.is_output else "activation",
        local_db=None if sums.params is None else sums.local.sqnr_db,
        cumulative_db=sums.cumulative.sqnr_db,
        cause=cause,
        detail=detail,
    )


def _constant_row(constant: Constant, constants: Sequence[Constant]) -> TensorComparison:
    bias = next((c for c in constants if c.kind == "bias" and c.reader == constant.reader), None)
    local_db, cause, detail = explain_constant(constant, bias)
    return TensorComparison(
        name=constant.name,
        op=constant.op,
        kind=constant.kind,
        local_db=local_db,
        cumulative_db=None,
        cause=cause,
        detail=detail,
    )


def _check_weights(activations: Sequence[TensorComparison], constants: Sequence[TensorComparison]) -> None:
    """Raises ModelError for a graph with other weights than the float model's.

    Then most weights differ, and little of the signal is left in the middle of the graph.
    """
    weights = [row for row in constants if row.kind == "weight"]
    foreign = [row for row in weights if (row.local_db or 0.0) < 3.0]
    levels = sorted(row.cumulative_db for row in activations if row.cumulative_db is not None)
    if levels and len(foreign) > len(weights) / 2 and levels[len(levels) // 2] < 3.0:
        raise ModelError(
            f"{len(foreign)} of the int8 model's {len(weights)} weights, {foreign[0].name!r} among them, are not those "
            f"of the float model: {ANOTHER}"
        )
