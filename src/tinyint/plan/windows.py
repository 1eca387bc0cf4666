"""Pools whose windows a target's int8 kernel does not take, as `targets.window` has it."""

from __future__ import annotations

import math

import onnx_ir as ir

from tinyint.targets import OperatorRule, Window

__all__ = ["window_refusal"]


def window_refusal(node: ir.Node, operator: OperatorRule) -> str | None:
    """What the int8 kernel does wrong with such a pool; None if nothing."""
    for window in Window:
        if window in operator.windows and _has(node, window):
            return operator.windows[window]
    if _least_elements(node.outputs[0]) < operator.least:
        return f"is wrong for a result of fewer than {operator.least} elements"
    return None


def _has(node: ir.Node, window: Window) -> bool:
    """`graph.passes.pooling` has dropped the attributes that mean nothing."""
    rounded_up = bool(node.attributes.get_int("ceil_mode", 0))
    counted = bool(node.attributes.get_int("count_include_pad", 0))
    match window:
        case Window.DILATED:
            return any(dilation != 1 for dilation in node.attributes.get_ints("dilations", []))
        case Window.PADDING_COUNTED_UP:
            return rounded_up and counted
        case Window.PADDING_COUNTED:
            return counted
        case Window.ROUNDED_UP:
            return rounded_up


def _least_elements(value: ir.Value) -> int:
    if value.shape is None:
        return 1
    return math.prod(size if isinstance(size, int) else 1 for size in value.shape)
