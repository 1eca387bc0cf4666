"""Folding of per-channel affine maps into the linear operators before them.

    a[c]·(W[c]·x + b[c]) + d[c]  →  (a[c]·W[c])·x + (a[c]·b[c] + d[c])

The linear operator is a Conv, ConvTranspose or Gemm with constant weights and no other reader. The map is a
BatchNormalization in inference mode, a Neg, or a Mul, Div, Add or Sub by a constant scalar or per-channel tensor.
Folding is done in float64, so each weight is rounded only once.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.edit import GraphEditor, bypass, replace_constant
from tinyint.graph.names import name_of
from tinyint.graph.ops import facts, layout_of
from tinyint.graph.walk import constant_of, sole_consumer

__all__ = ["fold_affine"]

Vector = NDArray[np.float64]


def fold_affine(model: ir.Model, *, keep_batch_norms: bool = False) -> None:
    """Folds, in place and in order, all such maps of the main graph.

    With `keep_batch_norms`, a BatchNormalization stays if it is the last map after its operator. Needs unshared
    constants.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if node.domain != "" or not node.outputs:
            continue
        index, linear = _linear_input(node)
        affine = None if linear is None else _affine(node, index, linear)
        if linear is None or affine is None:
            continue
        if not (keep_batch_norms and node.op_type == "BatchNormalization" and _is_last(node, linear)):
            _fold(editor, linear, node, *affine)


def _affine(node: ir.Node, index: int, linear: ir.Node) -> tuple[Vector, Vector] | None:
    """(a, d) of the node; its input `index` is the linear operator's output."""
    return _batch_norm(node) if node.op_type == "BatchNormalization" else _arithmetic(node, index, linear)


def _is_last(node: ir.Node, linear: ir.Node) -> bool:
    """Whether no further map of the same channels follows."""
    follower = sole_consumer(node.outputs[0])
    if follower is None or follower.domain != "":
        return True
    index = 0 if follower.inputs[0] is node.outputs[0] else 1
    return _affine(follower, index, linear) is None


def _linear_input(node: ir.Node) -> tuple[int, ir.Node | None]:
    """Index of the input that comes from a foldable linear operator, and that operator."""
    for index, value in enumerate(node.inputs[:2]):
        linear = None if value is None else value.producer()
        row = None if linear is None else facts(linear)
        if value is None or linear is None or row is None or row.bias is None:
            continue
        if linear.graph is node.graph and sole_consumer(value) is node and _has_own_constants(linear):
            return index, linear
    return 0, None


def _has_own_constants(linear: ir.Node) -> bool:
    weight, bias = constant_of(linear.inputs[1]), _bias(linear)
    if weight is None or not np.issubdtype(weight.dtype, np.floating):
        return False
    if linear.op_type == "Gemm" and not (_factor(linear, "alpha") == _factor(linear, "beta") == 1.0):
        return False
    constant = constant_of(bias)
    return bias is None or (constant is not None and constant.shape == (_channels(linear, weight),))


def _factor(linear: ir.Node, name: str) -> float:
    return linear.attributes.get_float(name, 1.0)


def _bias(linear: ir.Node) -> ir.Value | None:
    return linear.inputs[2] if len(linear.inputs) > 2 else None


def _channels(linear: ir.Node, weight: NDArray[np.generic]) -> int:
    return layout_of(linear).outputs(weight.shape)


def _batch_norm(node: ir.Node) -> tuple[Vector, Vector] | None:
    """(a, d) of a BatchNormalization; None in training mode or if its statistics are computed."""
    training = node.attributes.get_int("training_mode", 0) or any(
        output.uses() for output in node.outputs[1:]
    )
    constants = [constant_of(value) for value in node.inputs[1:5]]
    if training or any(output.is_graph_output() for output in node.outputs[1:]):
        return None
    scale, shift, mean, variance = (None if c is None else c.astype(np.float64) for c in constants)
    if scale is None or shift is None or mean is None or variance is None:
        return None
    factor = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return factor, shift - mean * factor


def _arithmetic(node: ir.Node, index: int, linear: ir.Node) -> tuple[Vector, Vector] | None:
    """(a, d) of Neg, Mul, Div, Add or Sub with a constant, else None."""
    weight = constant_of(linear.inputs[1])
    if node.op_type == "Neg" and weight is not None:
        return np.full(_channels(linear, weight), -1.0), np.zeros(_channels(linear, weight))
    if node.op_type not in {"Mul", "Add", "Div", "Sub"} or (node.op_type in {"Div", "Sub"} and index == 1):
        return None
    constant = constant_of(node.inputs[1 - index])
    if weight is None or constant is None or constant.dtype != weight.dtype:
        return None
    vector = _per_channel(constant.astype(np.float64), _channels(linear, weight), weight.ndim)
    if vector is None:
        return None
    with np.errstate(divide="ignore"):
        match node.op_type:
            case "Mul":
                return vector, np.zeros_like(vector)
            case "Div":
                return 1.0 / vector, np.zeros_like(vector)
            case "Add":
                return np.ones_like(vector), vector
            case _:
                return np.ones_like(vector), -vector


def _per_channel(constant: Vector, channels: int, rank: int) -> Vector | None:
    """Constant as (channels,).

    None if it varies along another axis than 1 of a tensor of this rank.
    """
    if constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if shape[1] not in (1, channels) or math.prod(shape) != shape[1]:
        return None
    return np.broadcast_to(constant.reshape(-1), (channels,)).copy()


def _fold(editor: GraphEditor, linear: ir.Node, node: ir.Node, factor: Vector, shift: Vector) -> None:
    weight, value = constant_of(linear.inputs[1]), linear.inputs[1]
    if weight is None or value is None:
        return
    if not (
        np.isfinite(factor).all()
        and np.isfinite(shift).all()
        and factor.shape == (_channels(linear, weight),)
    ):
        return
    bias = _bias(linear)
    before = constant_of(bias)
    after = shift if before is None else before.astype(np.float64) * factor + shift
    if not bypass(node, linear.outputs[0]):
        return
    replace_constant(value, _scaled(linear, weight, factor).astype(weight.dtype))
    if bias is not None:
        replace_constant(bias, after.astype(weight.dtype))
    elif after.any():
        stem = name_of(value).removesuffix("weight").removesuffix("_").removesuffix(".")
        linear.resize_inputs(3)
        linear.replace_input_with(2, editor.constant(f"{stem}.bias", after.astype(weight.dtype)))


def _scaled(linear: ir.Node, weight: NDArray[np.generic], factor: Vector) -> Vector:
    scaled = np.array(weight, np.float64, order="C")
    matrix = layout_of(linear).matrix(scaled)
    matrix *= factor.reshape(matrix.shape[0], -1, 1, 1)
    return scaled
