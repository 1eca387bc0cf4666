"""Store the weights as integers and compute in float: a quarter (int8) or half (int16) of the size, without any data.

Every float32 constant of two or more dimensions is a weight here, embeddings and the classifier included: a
DequantizeLinear restores it for whichever operator reads it, and the runtimes fold it once, at load.
"""

from __future__ import annotations

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.ops import weight_axis
from tinyint.graph.passes.opset import upgrade_opset
from tinyint.graph.walk import constant_of, is_float32
from tinyint.numerics import INT8
from tinyint.plan import ConstantPlan, Role, Use
from tinyint.plan.tensors import WEIGHT_FORMATS
from tinyint.qdq import quantize_constants
from tinyint.qparams import assign_constants
from tinyint.recipe import Recipe, Rule
from tinyint.scheme import Scheme

__all__ = ["quantize_weights"]

_SMALLEST = 256
"""Fewer elements than this are not worth a node."""
_INT16_OPSET = 21


def quantize_weights(
    model: ir.Model, recipe: Recipe, rules: dict[str, Rule]
) -> tuple[ir.Model, dict[Use, ConstantPlan]]:
    """A copy of the prepared `model` with integer weights, and where they are read.

    int16 needs opset 21 (ONNX operator specification, DequantizeLinear-21), to which the copy is raised; ModelError if
    that fails.
    """
    bits = {weights.bits for weights in (recipe.weights, *(r.weights for r in rules.values() if r.weights))}
    model = upgrade_opset(model.clone(), _INT16_OPSET) if 16 in bits else model.clone()
    if 16 in bits and model.opset_imports[""] < _INT16_OPSET:
        raise ModelError(
            f"int16 weights need opset {_INT16_OPSET}, to which the model cannot be converted from "
            f"opset {model.opset_imports['']}; export it again, or use 8 bits"
        )
    plans = {
        (node.name or "", i): _plan(node, i, recipe, rules.get(node.name or ""))
        for node in model.graph
        if not (node.name in rules and rules[node.name or ""].float)
        for i, value in enumerate(node.inputs)
        if _is_weight(value)
    }
    nodes = {node.name or "": node for node in model.graph}
    quantize_constants(model.graph, assign_constants(nodes, plans))
    return model, plans


def _is_weight(value: ir.Value | None) -> bool:
    if not is_float32(value):
        return False
    array = constant_of(value)
    return array is not None and array.ndim >= 2 and array.size >= _SMALLEST


def _plan(node: ir.Node, position: int, recipe: Recipe, rule: Rule | None) -> ConstantPlan:
    wish = recipe.weights_for(rule)
    qtype = INT8.narrow() if wish.bits is None else WEIGHT_FORMATS[wish.bits]
    axis = None if wish.granularity == "per_tensor" else _axis(node, position)
    scheme = Scheme(qtype=qtype, symmetric=True, axis=axis)
    return ConstantPlan(role=Role.WEIGHT, scheme=scheme, range=wish.range)


def _axis(node: ir.Node, position: int) -> int | None:
    """The operator's own axis; for a table that rows are taken from, the rows."""
    if node.op_type == "Gather" and position == 0:
        return 0
    return weight_axis(node) if position == 1 else None
