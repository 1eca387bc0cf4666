"""Convolutions of one place that a runtime miscomputes as products of matrices."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of, consumers, static_shape
from tinyint.targets import Target

__all__ = ["misread_points"]

_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def misread_points(model: ir.Model, target: Target) -> dict[str, str]:
    """Convolutions whose weights must stay float for the target, with reasons.

    By name; their weights must not be stored in integers.
    """
    if not target.misreads_points:
        return {}
    reason = (
        f"{target.name} takes it for a product of matrices where its weights are integers, beside a Transpose or "
        "Reshape, and is wrong for its strides, its padding or that order of axes"
    )
    return {name_of(node): reason for node in model.graph.all_nodes() if _is_misread(node)}


def _is_misread(node: ir.Node) -> bool:
    weight = static_shape(node.inputs[1]) if node.op_type == "Conv" and node.domain == "" else None
    if weight is None or weight[2:] != (1, 1) or node.attributes.get_int("group", 1) != 1:
        return False
    source = None if node.inputs[0] is None else node.inputs[0].producer()
    before = source if source is not None and source.op_type == "Transpose" else None
    behind = list(_readers(node))
    turned = [reader for reader in behind if reader.op_type == "Transpose"]
    if before is None and not turned and not any(reader.op_type in _RESHAPING for reader in behind):
        return False
    orders = [before is None or _order(before) == _TO_CHANNELS_FIRST]
    orders += [_order(reader) == _TO_CHANNELS_LAST for reader in turned]
    return not all(orders) or not _keeps_size(node)


def _readers(conv: ir.Node) -> list[ir.Node]:
    """What reads the result, be it through the Add of a constant."""
    found: list[ir.Node] = []
    for reader, _ in consumers(conv.outputs[0]):
        found.append(reader)
        if reader.op_type == "Add" and any(constant_of(value) is not None for value in reader.inputs):
            found += [node for node, _ in consumers(reader.outputs[0])]
    return found


def _order(transpose: ir.Node) -> list[int]:
    return list(transpose.attributes.get_ints("perm", []))


def _keeps_size(conv: ir.Node) -> bool:
    """Whether it has neither strides nor padding; of one place, automatic padding is none."""
    strides, pads = (list(conv.attributes.get_ints(name, [])) for name in ("strides", "pads"))
    return all(stride == 1 for stride in strides) and not any(pads)
