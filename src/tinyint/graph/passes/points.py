"""Widening of 1×1 kernels that have strides and padding, by a second tap of zeros.

The second tap reads one more column of padding. OpenVINO 2026.4 applies the strides of a 1×1 kernel before its padding
(tests/runtimes/facts/test_points.py), in a float model too if any operator comes before it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import replace_constant
from tinyint.graph.walk import constant_of

__all__ = ["widen_points"]


def widen_points(model: ir.Model) -> None:
    """Widens, in place, each such Conv without groups. Needs unshared constants."""
    for node in model.graph:
        weight = constant_of(node.inputs[1]) if node.domain == "" and node.op_type == "Conv" else None
        if weight is not None and _is_padded_point(node, weight.shape[2:]):
            _widen(node, weight)


def _is_padded_point(conv: ir.Node, kernel: tuple[int, ...]) -> bool:
    strides, pads = conv.attributes.get_ints("strides", [1]), conv.attributes.get_ints("pads", [0])
    alone = set(kernel) == {1} and conv.attributes.get_int("group", 1) == 1
    return alone and max(strides) > 1 and any(pads)


def _widen(conv: ir.Node, weight: np.ndarray) -> None:
    """Adds the tap along the last axis."""
    value, pads = conv.inputs[1], list(conv.attributes.get_ints("pads"))
    assert value is not None
    replace_constant(value, np.concatenate([weight, np.zeros_like(weight)], axis=-1))
    pads[-1] += 1
    conv.attributes["pads"] = ir.AttrInt64s("pads", pads)
    conv.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", [1] * (weight.ndim - 3) + [2])
    conv.attributes.pop("dilations", None)  # without effect on one tap
