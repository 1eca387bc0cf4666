"""Queries of the graph: constants, types, shapes, readers, ancestors, cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.names import name_of
from tinyint.graph.ops import is_weighted, layout_of

__all__ = [
    "ancestors",
    "constant_of",
    "consumers",
    "inner_nodes",
    "is_float32",
    "macs",
    "sole_consumer",
    "static_shape",
    "uncounted",
]


def constant_of(value: ir.Value | None) -> NDArray[np.generic] | None:
    """Array of an initializer or Constant node; None for other values.

    An initializer that is also a graph input is not constant: the caller may override it.
    """
    if value is None or value.is_graph_input():
        return None
    producer = value.producer()
    if producer is not None and (producer.domain != "" or len(producer.attributes) != 1):
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def is_float32(value: ir.Value | None) -> bool:
    """Whether the value's type is known and float32."""
    return value is not None and value.dtype == ir.DataType.FLOAT


def static_shape(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """Shape with None for open dimensions; None if the rank is unknown.

    Some files declare an open dimension as -1.
    """
    if value is None or value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) and dim >= 0 else None for dim in value.shape)


def consumers(value: ir.Value) -> tuple[tuple[ir.Node, int], ...]:
    """(node, input index) of each reader of the value, also in subgraphs."""
    return tuple((use.node, use.idx) for use in value.uses())


def sole_consumer(value: ir.Value) -> ir.Node | None:
    """The only reader of the value.

    None if it has several uses, or is a graph output.
    """
    uses = consumers(value)
    return uses[0][0] if len(uses) == 1 and not value.is_graph_output() else None


def ancestors(value: ir.Value) -> Iterator[ir.Node]:
    """All nodes on which the value depends, nearest first."""
    visited, waiting = set[ir.Node](), [value]
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node not in visited:
            visited.add(node)
            yield node
            waiting += [source for source in node.inputs if source is not None]


def inner_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """Nodes in the bodies of a node, nested ones included."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
            yield from attribute.as_graph().all_nodes()
        elif attribute.type == ir.AttributeType.GRAPHS and not attribute.is_ref():
            for body in attribute.as_graphs():
                yield from body.all_nodes()


def macs(model: ir.Model) -> dict[str, int]:
    """Multiply-accumulates of the main graph's operators with weights, by node name.

    An unknown dimension counts as 1, so with an open batch the cost is that of one sample. Nodes without inferred
    shapes are left out; `prepare` infers them.
    """
    count = {name_of(node): _node_macs(node) for node in model.graph}
    return {name: cost for name, cost in count.items() if name and cost is not None}


def uncounted(model: ir.Model) -> list[ir.Node]:
    """Operators with weights that `macs` leaves out: of unknown shapes, or in bodies."""
    cost = macs(model)
    products = filter(is_weighted, model.graph.all_nodes())
    return [node for node in products if node.graph is not model.graph or node.name not in cost]


def _node_macs(node: ir.Node) -> int | None:
    if not is_weighted(node):
        return None
    data, weight, result = (_size(node.inputs[0]), _size(node.inputs[1]), _size(node.outputs[0]))
    transposed = data is not None and node.attributes.get_int("transA", 0) != 0
    return layout_of(node).macs(data[::-1] if data is not None and transposed else data, weight, result)


def _size(value: ir.Value | None) -> tuple[int, ...] | None:
    shape = static_shape(value)
    return None if shape is None else tuple(1 if dim is None else dim for dim in shape)
