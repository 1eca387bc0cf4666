"""Weights of an int8 model whose pair sums saturate here (`ranges.pair_sums`)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.flow import range_source
from tinyint.graph.layout import is_one_to_one
from tinyint.graph.ops import INTEGER_FORMS, is_weighted, layout_of
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import Array
from tinyint.quantization.qdq import read_params
from tinyint.quantization.qparams import largest_code
from tinyint.quantization.ranges.pair_sums import pair_limit
from tinyint.runtimes.host import Host, host
from tinyint.targets import Target, limited_target
from tinyint.targets.packing import pairs_of

__all__ = ["saturating_nodes", "saturation"]

_LARGEST = 255


def saturation(model: ir.Model, runtime: str, machine: Host | None = None) -> str | None:
    """Warning on an int8 model on `runtime` here; None without saturation.

    Whoever made the model.
    """
    machine = machine or host()
    target = limited_target(runtime)
    if target is None or not machine.pair_sums_saturate:
        return None
    found = saturating_nodes(model, target)
    if not found:
        return None
    operators = "1 operator" if len(found) == 1 else f"{len(found)} operators"
    return (
        f"{operators} ({found[0]!r} first) may give wrong values on this processor: it adds 8-bit products in pairs "
        f"that saturate, since it has no VNNI, and the weights do not allow for it; quantize with --target "
        f"{target.name}, or run the model on a processor with VNNI"
    )


def saturating_nodes(model: ir.Model, target: Target) -> list[str]:
    """Int8 operators with weight pairs over the limit, in graph order.

    `target` has the packings.
    """
    return [node.name or node.op_type for node in model.graph if _saturates(node, target)]


def _saturates(node: ir.Node, target: Target) -> bool:
    codes, form = _int8_weight(node), INTEGER_FORMS.get(node.op_type)
    rule = target.operators.get(node.op_type if form is None else form.stands_for)
    if codes is None or rule is None:
        return False
    layout = layout_of(node)
    matrix = layout.matrix(np.ascontiguousarray(codes)).astype(np.int32)
    groups, outputs, inputs, _ = matrix.shape
    if is_one_to_one(matrix):
        return False
    filters = matrix.reshape(groups * outputs, -1)
    limit = pair_limit(_largest_code(node))
    if not rule.packings:
        return bool(np.abs(filters).max(initial=0) > limit // 2)
    return any(
        bool(np.abs(filters[:, pairs].sum(axis=2)).max(initial=0) > limit)
        for pairs in pairs_of(rule.packings, inputs, layout.kernel_shape(codes.shape))
    )


def _int8_weight(node: ir.Node) -> Array | None:
    """The codes of the signed 8-bit weight that the node multiplies with 8-bit activations."""
    form = INTEGER_FORMS.get(node.op_type)
    if form is not None:
        codes = constant_of(node.inputs[form.weight])
    elif is_weighted(node) and _dequantize(node.inputs[0]) is not None:
        producer = None if node.inputs[1] is None else node.inputs[1].producer()
        is_stored = producer is not None and producer.op_type == "DequantizeLinear"
        codes = constant_of(producer.inputs[0]) if producer is not None and is_stored else None
    else:
        return None
    return codes if codes is not None and codes.dtype == np.int8 and codes.ndim else None


def _largest_code(node: ir.Node) -> int:
    """The highest code that the activations of the node can have, as it was when its weights were made."""
    dequantize = _dequantize(node.inputs[0])
    params = None if dequantize is None else read_params(dequantize)
    codes = None if dequantize is None or dequantize.inputs[0] is None else dequantize.inputs[0]
    quantize = None if codes is None else codes.producer()
    if params is None or quantize is None or quantize.op_type != "QuantizeLinear":
        return _LARGEST
    return largest_code(quantize.inputs[0], params)


def _dequantize(value: ir.Value | None) -> ir.Node | None:
    producer = None if value is None else range_source(value).producer()
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None
