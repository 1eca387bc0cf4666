"""Plan + calibration record + weights → scale and zero-point of every tensor."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError, RecordError
from tinyint.graph.flow import clamp_range, range_source
from tinyint.graph.names import name_of
from tinyint.graph.ops import facts
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import (
    Constant,
    FloatArray,
    QParams,
    bias_params,
    dead_channels,
    dequantize,
    fit_bias,
    qparams_from_range,
    quantize,
    unseen_input_scale,
)
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan import ConstantPlan, Plan, Use
from tinyint.quantization.ranges import RangeMethod, find_range, weight_range
from tinyint.quantization.weight_pairs import LimitedWeight
from tinyint.targets import Packing

__all__ = [
    "Assignment",
    "assign_constants",
    "assign_qparams",
    "constant_params",
    "input_tensor",
    "largest_code",
    "with_codes",
    "within_pair_limit",
]


Range: TypeAlias = tuple[float, float]

_SHIFT = 128  # makes signed bytes unsigned


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Parameters per tensor name, and form of each constant per place."""

    tensors: Mapping[str, QParams]
    constants: Mapping[Use, Constant]


def assign_qparams(model: ir.Model, plan: Plan, record: CalibrationRecord, method: RangeMethod) -> Assignment:
    """Parameters for everything in `plan` on the prepared `model`.

    Raises RecordError if the record lacks a tensor of the plan, ModelError for weights that are not finite.
    """
    nodes = {name_of(node): node for node in model.graph}
    ranges = _group_ranges(model, plan, record, method)
    tensors = {name: _from_scheme(*ranges[t.group], t.scheme) for name, t in plan.tensors.items()}
    params = constant_params(nodes, plan.constants, tensors)
    _refine_unseen(nodes, plan, ranges, tensors, params)
    for use, weight in plan.bias_weights.items():
        _fit_bias(nodes, use, weight, tensors, params)
    return Assignment(tensors=tensors, constants=with_codes(nodes, plan.constants, params, tensors))


def assign_constants(nodes: Mapping[str, ir.Node], plans: Mapping[Use, ConstantPlan]) -> dict[Use, Constant]:
    """Weights and operands, whatever multiplies them."""
    return with_codes(nodes, plans, constant_params(nodes, plans))


def constant_params(
    nodes: Mapping[str, ir.Node],
    plans: Mapping[Use, ConstantPlan],
    tensors: Mapping[str, QParams] | None = None,
) -> dict[Use, QParams]:
    """Parameters of weights and operands; `tensors` tells which codes multiply a weight."""
    params: dict[Use, QParams] = {}
    for use, plan in plans.items():
        name, array = _constant(nodes, use)
        if not np.isfinite(array).all():
            raise ModelError(
                f"the constant {name!r} of node {use[0]!r} holds NaN or Inf; repair the float model"
            )
        lo, hi = weight_range(array, plan.range, plan.scheme)
        params[use] = _from_scheme(lo, hi, plan.scheme)
        limited = _limited(nodes, use, plan, params[use], tensors)
        if limited is not None:
            params[use] = limited.fitted()
    return params


def with_codes(
    nodes: Mapping[str, ir.Node],
    plans: Mapping[Use, ConstantPlan],
    params: Mapping[Use, QParams],
    tensors: Mapping[str, QParams] | None = None,
) -> dict[Use, Constant]:
    """Constants under these parameters, biases too.

    Weights whose pair sums are limited get codes that keep to the limit.
    """
    constants = {}
    for use, qparams in params.items():
        limited = _limited(nodes, use, plans[use], qparams, tensors) if use in plans else None
        codes = None if limited is None else limited.codes(qparams)
        constants[use] = Constant(params=qparams, codes=codes)
    return constants


def within_pair_limit(
    node: ir.Node, plan: ConstantPlan, constant: Constant, tensors: Mapping[str, QParams]
) -> Constant:
    """Constant with the nearest codes that keep to the limit on pairs.

    As it is where there is no limit, or it has no codes of its own.
    """
    if plan.packings is None or constant.codes is None:
        return constant
    weight = dequantize(constant.codes, constant.params)
    limited = _limited_weight(node, weight, plan.packings, constant.params, tensors)
    return replace(constant, codes=limited.codes(constant.params))


def _limited(
    nodes: Mapping[str, ir.Node],
    use: Use,
    plan: ConstantPlan,
    params: QParams,
    tensors: Mapping[str, QParams] | None,
) -> LimitedWeight | None:
    if plan.packings is None:
        return None
    return _limited_weight(nodes[use[0]], _constant(nodes, use)[1], plan.packings, params, tensors)


def _limited_weight(
    node: ir.Node,
    weight: FloatArray,
    packings: tuple[Packing, ...],
    params: QParams,
    tensors: Mapping[str, QParams] | None,
) -> LimitedWeight:
    largest = 255 if tensors is None else largest_code(node.inputs[0], _input_params(node, tensors))
    return LimitedWeight(node, weight, params, packings, largest)


def largest_code(value: ir.Value | None, params: QParams) -> int:
    """Highest possible code of a quantized tensor, unsigned, by the operator before it.

    One more than that of the bound, which a quantizer on the way may have rounded up. Kernels that add pairs in 16 bits
    multiply unsigned codes: to signed ones they add 128.
    """
    shift = _SHIFT if params.qtype.signed else 0
    producer = None if value is None else range_source(value).producer()
    if producer is None:
        return params.qtype.qmax + shift
    row = facts(producer)
    known = clamp_range(producer) or (None if row is None else row.output_range)
    code = params.qtype.qmax if known is None else min(int(quantize(known[1], params)) + 1, params.qtype.qmax)
    return code + shift


def _group_ranges(
    model: ir.Model, plan: Plan, record: CalibrationRecord, method: RangeMethod
) -> dict[str, tuple[float, float]]:
    """One range a group, which holds the ranges of all its members."""
    ranges: dict[str, tuple[float, float]] = {}
    found: dict[tuple[str, Scheme, Range | None], Range] = {}
    for value in _values(model.graph):
        tensor = plan.tensors.get(name_of(value))
        if tensor is None:
            continue
        key = name_of(range_source(value)), tensor.scheme, tensor.live_range
        if tensor.fixed_range is not None:
            lo, hi = tensor.fixed_range
        else:
            if key not in found:
                found[key] = _calibrated(key[0], record, method, tensor.scheme, tensor.live_range)
            lo, hi = found[key]
        if tensor.stretch is not None:
            hi = tensor.stretch(hi)
        low, high = ranges.get(tensor.group, (0.0, 0.0))
        ranges[tensor.group] = min(low, lo), max(high, hi)
    return ranges


def _refine_unseen(
    nodes: Mapping[str, ir.Node],
    plan: Plan,
    ranges: Mapping[str, tuple[float, float]],
    tensors: dict[str, QParams],
    constants: Mapping[Use, QParams],
) -> None:
    """Finer scales for groups in which calibration saw zeros alone, where an operator with a bias reads them."""
    scales: dict[str, float] = {}
    for use, weight in plan.bias_weights.items():
        group = plan.tensors[input_tensor(nodes[weight[0]], tensors)].group
        if ranges[group] == (0.0, 0.0):
            scale = unseen_input_scale(_constant(nodes, use)[1], constants[weight].scale)
            scales[group] = min(scale, scales.get(group, scale))
    for name, tensor in plan.tensors.items():
        if tensor.group in scales:
            tensors[name] = replace(tensors[name], scale=np.array(scales[tensor.group], np.float32))


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


def _calibrated(
    name: str, record: CalibrationRecord, method: RangeMethod, scheme: Scheme, live: Range | None
) -> Range:
    summary = record.summaries.get(name)
    if summary is None or summary.samples == 0:
        raise RecordError(
            f"the calibration record has nothing on tensor {name!r}, which the plan quantizes; "
            "calibrate this model anew"
        )
    return find_range(summary, method, scheme, live)


def _from_scheme(lo: float | FloatArray, hi: float | FloatArray, scheme: Scheme) -> QParams:
    return qparams_from_range(
        lo, hi, qtype=scheme.qtype, symmetric=scheme.symmetric, granularity=scheme.granularity
    )


def _fit_bias(
    nodes: Mapping[str, ir.Node],
    use: Use,
    weight_use: Use,
    tensors: Mapping[str, QParams],
    constants: dict[Use, QParams],
) -> None:
    """Sets the bias's scale to s_x · s_w, with s_w fitted.

    Fitted to biases that would overflow or have no weights.
    """
    _, bias = _constant(nodes, use)
    if not np.isfinite(bias).all():
        raise ModelError(f"the bias of node {use[0]!r} holds NaN or Inf; repair the float model")
    input_scale = _input_params(nodes[weight_use[0]], tensors).scale
    weight = constants[weight_use]
    dead = dead_channels(_constant(nodes, weight_use)[1], weight.axis)
    constants[weight_use] = replace(weight, scale=fit_bias(bias, input_scale, weight.scale, dead))
    constants[use] = bias_params(input_scale, constants[weight_use].scale)


def _input_params(node: ir.Node, tensors: Mapping[str, QParams]) -> QParams:
    """Of the quantizer that serves the node's first input."""
    return tensors[input_tensor(node, tensors)]


def input_tensor(node: ir.Node, tensors: Container[str]) -> str:
    """Tensor that serves the node's first input.

    Itself, or the one before the operators that moved it.
    """
    value = node.inputs[0]
    while value is not None and value.name not in tensors:
        producer = value.producer()
        value = None if producer is None else producer.inputs[0]
    assert value is not None
    return name_of(value)


def _constant(nodes: Mapping[str, ir.Node], use: Use) -> tuple[str, FloatArray]:
    value = nodes[use[0]].inputs[use[1]]
    array = constant_of(value)
    assert value is not None
    assert array is not None
    return name_of(value), array.astype(np.float32, copy=False)
