"""A second place for kernels of one under strides and padding.

It holds zeros, and reads one place of padding more. OpenVINO 2026.4 takes the strides of a kernel of one place before
its padding (tests/runtimes/facts/test_points.py), in the float model too where anything stands before it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import replace_constant
from tinyint.graph.walk import constant_of

__all__ = ["widen_points"]


def widen_points(model: ir.Model) -> None:
    """Widen, in place, each such Conv of the main graph.

    Those in groups stay. Needs unshared constants.
    """
    for node in model.graph:
        weight = constant_of(node.inputs[1]) if node.domain == "" and node.op_type == "Conv" else None
        if weight is not None and _is_padded_point(node, weight.shape[2:]):
            _widen(node, weight)


def _is_padded_point(conv: ir.Node, kernel: tuple[int, ...]) -> bool:
    strides, pads = conv.attributes.get_ints("strides", [1]), conv.attributes.get_ints("pads", [0])
    alone = set(kernel) == {1} and conv.attributes.get_int("group", 1) == 1
    return alone and max(strides) > 1 and any(pads)


def _widen(conv: ir.Node, weight: np.ndarray) -> None:
    """Along the last axis."""
    value, pads = conv.inputs[1], list(conv.attributes.get_ints("pads"))
    assert value is not None
    replace_constant(value, np.concatenate([weight, np.zeros_like(weight)], axis=-1))
    pads[-1] += 1
    conv.attributes["pads"] = ir.AttrInt64s("pads", pads)
    conv.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", [1] * (weight.ndim - 3) + [2])
    conv.attributes.pop("dilations", None)  # which mean nothing to one place
