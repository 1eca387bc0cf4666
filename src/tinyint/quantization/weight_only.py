"""Weight-only quantization: integer weights, float compute, no data.

A quarter (int8) or half (int16) of the size.

Every float32 constant of two or more dimensions is a weight here, embeddings, the classifier and those in the bodies of
If and Loop included, but not the biases of an LSTM: a DequantizeLinear restores it for whichever operator reads it, and
the runtimes fold it once, at load.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.graph.ops import weight_axis
from tinyint.graph.passes.opset import upgrade_opset
from tinyint.graph.walk import constant_of
from tinyint.numbers.granularity import per_axis
from tinyint.numbers.numerics import INT8
from tinyint.numbers.scheme import WEIGHT_FORMATS, Scheme
from tinyint.quantization.plan import ConstantPlan, Role, Use
from tinyint.quantization.qdq import quantize_constants
from tinyint.quantization.qparams import assign_constants
from tinyint.quantization.recipe import Recipe, Rule

__all__ = ["quantize_weights", "require_integers", "storable_bytes"]

_SMALLEST = 256
"""Fewer elements than this are not worth a node."""
_INT16_OPSET = 21
_RECURRENT = ("LSTM", "GRU", "RNN")


def quantize_weights(
    model: ir.Model, recipe: Recipe, rules: dict[str, Rule], misread: Container[str] = ()
) -> tuple[ir.Model, dict[Use, ConstantPlan]]:
    """Copy of the prepared `model` with integer weights, and their places.

    Weights of `misread` stay in float.

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
        (name_of(node), i): _plan(node, i, recipe, rules.get(name_of(node)))
        for node in model.graph.all_nodes()
        if name_of(node) not in misread and not (node.name in rules and rules[name_of(node)].float)
        for i in _weights(node)
    }
    nodes = {name_of(node): node for node in model.graph.all_nodes()}
    quantize_constants(model.graph, assign_constants(nodes, plans))
    return model, plans


def storable_bytes(model: ir.Model) -> int:
    """Bytes of weights stored in integers, unless rules keep them in float."""
    weights = {node.inputs[i] for node in model.graph.all_nodes() for i in _weights(node)}
    return sum(value.const_value.nbytes for value in weights if value is not None and value.const_value)


def require_integers(
    model: ir.Model, stored: Mapping[Use, ConstantPlan], rules: Mapping[str, Rule], misread: Mapping[str, str]
) -> None:
    """Raises ModelError where nothing of `model` is stored in integers.

    With the reason; `model` is prepared.
    """
    if stored:
        return
    held = [
        (node, array)
        for node in model.graph.all_nodes()
        for value in node.inputs
        if (array := constant_of(value)) is not None and array.ndim >= 2 and array.dtype.kind == "f"
    ]
    wide = sorted({str(array.dtype) for _, array in held} - {"float32"})
    if not held:
        why = "it has no constant of two or more dimensions"
    elif wide:
        why = f"its weights are {' and '.join(wide)}; export it in float32"
    elif all(node.name in rules and rules[name_of(node)].float for node, _ in held):
        why = "the recipe keeps every node with weights in float; loosen its rules"
    elif misread:
        name, reason = next(iter(misread.items()))
        why = f"of node {name!r}, {reason}"
    else:
        largest = max(array.size for _, array in held)
        why = f"the largest of its weights has {largest} elements; from {_SMALLEST} on they are worth a node"
    raise ModelError(f"no weight of the model would be stored in integers: {why}")


def _weights(node: ir.Node) -> Iterator[int]:
    """Inputs that are weights; an LSTM's others are biases and states."""
    inputs = node.inputs[:3] if node.op_type in _RECURRENT else node.inputs
    yield from (i for i, value in enumerate(inputs) if _is_weight(value))


def _is_weight(value: ir.Value | None) -> bool:
    array = constant_of(value)
    return array is not None and array.dtype == np.float32 and array.ndim >= 2 and array.size >= _SMALLEST


def _plan(node: ir.Node, position: int, recipe: Recipe, rule: Rule | None) -> ConstantPlan:
    wish = recipe.weights_for(rule)
    qtype = INT8.narrow() if wish.bits is None else WEIGHT_FORMATS[wish.bits]
    axis = None if wish.granularity == "per_tensor" else _axis(node, position)
    scheme = Scheme(qtype=qtype, symmetric=True, granularity=per_axis(axis))
    return ConstantPlan(role=Role.WEIGHT, scheme=scheme, range=wish.range)


def _axis(node: ir.Node, position: int) -> int | None:
    """The operator's own axis; for a table that rows are taken from, the rows."""
    if node.op_type == "Gather" and position == 0:
        return 0
    if node.op_type in _RECURRENT:
        return 1  # (directions, gates · hidden, inputs): the rows of the gates
    return weight_axis(node) if position == 1 else None
