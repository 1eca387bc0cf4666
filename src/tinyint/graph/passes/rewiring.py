"""The few changes to a graph that every rewriting is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["add_constant", "bypass", "replace_constant", "replace_node"]


def bypass(node: ir.Node, replacement: ir.Value) -> bool:
    """Let `replacement` stand for the node's first output, and remove the node.

    An output of the graph keeps its name. Returns False, and changes nothing, where that needs the replacement to
    have two names: it is an input, a constant or an output itself.
    """
    output = node.outputs[0]
    if output.is_graph_output():
        if replacement.producer() is None or replacement.is_graph_output():
            return False
        if replacement.shape is None:
            replacement.shape = output.shape
        if replacement.type is None:
            replacement.type = output.type
        name, output.name = output.name, None
        output.replace_all_uses_with(replacement, replace_graph_outputs=True)
        replacement.name = name
    else:
        output.replace_all_uses_with(replacement)
    _graph_of(node).remove(node, safe=True)
    return True


def replace_node(node: ir.Node, op_type: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Node:
    """Put another operator with one output in the node's place, under the same node and value names."""
    output = node.outputs[0]
    new = ir.node(op_type, inputs, attributes, name=node.name)
    new.outputs[0].shape, new.outputs[0].type = output.shape, output.type
    name, output.name = output.name, None
    graph = _graph_of(node)
    graph.insert_after(node, new)
    output.replace_all_uses_with(new.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    new.outputs[0].name = name
    return new


def add_constant(graph: ir.Graph, name: str, tensor: NDArray[np.generic] | ir.TensorProtocol) -> ir.Value:
    """Register a new initializer; a number is appended to the name if it is taken."""
    taken = {value.name for value in graph.inputs} | set(graph.initializers)
    taken |= {value.name for node in graph for value in node.outputs}
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    constant = ir.tensor(tensor, name=unique) if isinstance(tensor, np.ndarray) else tensor
    value = ir.Value(
        name=unique,
        shape=ir.Shape(constant.shape.numpy()),
        type=ir.TensorType(constant.dtype),
        const_value=constant,
    )
    graph.register_initializer(value)
    return value


def replace_constant(value: ir.Value, array: NDArray[np.generic]) -> None:
    """Give an initializer that has one reader a new array."""
    value.const_value = ir.tensor(array, name=value.name)
    value.shape = ir.Shape(array.shape)


def _graph_of(node: ir.Node) -> ir.Graph:
    if not isinstance(node.graph, ir.Graph):
        raise TypeError(f"node {node.name!r} is in no graph")
    return node.graph
