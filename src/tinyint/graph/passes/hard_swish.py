"""HardSwish, x · clip(x + 3, 0, 6) / 6, which exporters write as several operators, as one.

One operator reads and writes the tensor once, where ONNX Runtime would do so four times, and no quantizer comes between
its parts. OpenVINO has a kernel for it, but none for HardSigmoid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.graph.edit import replace_node
from tinyint.graph.flow import clamp_range
from tinyint.graph.walk import constant_of, sole_consumer, static_shape

__all__ = ["recognize_hard_swish"]

_FIRST_OPSET = 14
_DIGITS = 1e-6  # relative: of 1/6, as exporters write it out
_SHIFT, _TOP = 3.0, 6.0


def recognize_hard_swish(model: ir.Model) -> None:
    """Rewrites products of a float32 tensor with its hard gate, in place."""
    if model.opset_imports.get("", 0) < _FIRST_OPSET:
        return
    for node in reversed(list(model.graph)):
        if node.domain == "" and node.op_type in _PRODUCTS:
            source = _hard_swish_of(_product(node.outputs[0]))
            if (
                source is not None
                and source.dtype == ir.DataType.FLOAT
                and _same_rank(source, node.outputs[0])
            ):
                replace_node(node, "HardSwish", [source])


_PRODUCTS = {"Mul", "Div"}


@dataclass(frozen=True)
class _Product:
    """`number` times `factors`."""

    number: float
    factors: tuple[ir.Value, ...] = ()

    def times(self, other: _Product) -> _Product:
        return _Product(self.number * other.number, self.factors + other.factors)


def _product(value: ir.Value) -> _Product:
    """What is multiplied to `value`, by nodes whose outputs nothing else reads."""
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in _PRODUCTS:
        return _Product(1.0, (value,))
    left, right = (_operand(operand, node) for operand in node.inputs)
    if node.op_type == "Mul":
        return left.times(right)
    if right.factors or right.number == 0.0:
        return _Product(1.0, (value,))
    return left.times(_Product(1.0 / right.number))


def _operand(operand: ir.Value | None, reader: ir.Node) -> _Product:
    assert operand is not None
    number = _number(operand)
    if number is not None:
        return _Product(number)
    return _product(operand) if sole_consumer(operand) is reader else _Product(1.0, (operand,))


def _hard_swish_of(product: _Product) -> ir.Value | None:
    """x, where the product is its HardSwish."""
    if len(product.factors) != 2:
        return None
    for source, gate in (product.factors, product.factors[::-1]):
        slope = _slope(gate, source)
        if slope is not None and math.isclose(slope * product.number, 1 / _TOP, rel_tol=_DIGITS):
            return source
    return None


def _slope(gate: ir.Value, source: ir.Value) -> float | None:
    """Slope of a gate of `source` that rises from 0 at -3 to its top at 3; None for another value."""
    node = gate.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "HardSigmoid" and node.inputs[0] is source:
        alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
        fits = math.isclose(beta, 0.5, rel_tol=_DIGITS) and math.isclose(alpha, 1 / _TOP, rel_tol=_DIGITS)
        return alpha if fits else None
    shifted = node.inputs[0] if node.op_type == "Clip" and clamp_range(node) == (0.0, _TOP) else None
    return 1.0 if shifted is not None and _is_shifted(shifted, source) else None


def _is_shifted(value: ir.Value, source: ir.Value) -> bool:
    """Whether the value is `source` + 3."""
    node = value.producer()
    if node is None or node.domain != "" or node.op_type != "Add" or source not in node.inputs:
        return False
    return any(_number(other) == _SHIFT for other in node.inputs if other is not source)


def _number(value: ir.Value | None) -> float | None:
    array = constant_of(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def _same_rank(*values: ir.Value) -> bool:
    """Whether both ranks are known and one: no number has added a dimension."""
    shapes = [static_shape(value) for value in values]
    return None not in shapes and len({len(shape or ()) for shape in shapes}) == 1
