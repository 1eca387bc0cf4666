"""Basic edits of a graph, shared by all rewritings.

A new node or value gets a name that is free in the whole graph, subgraphs included: a body may not repeat an outer
name. Only `GraphEditor` registers initializers.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from tinyint.graph.names import name_of

__all__ = ["GraphEditor", "bypass", "replace_constant", "replace_node", "unnumbered"]


class GraphEditor:
    """Adds constants and nodes to a graph or subgraph, under free names.

    It collects the names once, so that adding is cheap. It does not know names that others add meanwhile, and does not
    reuse those of removed nodes.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._values = {value.name for value in (*graph.inputs, *graph.initializers.values())}
        self._nodes = {node.name for node in graph.all_nodes()}
        self._values |= {value.name for node in graph.all_nodes() for value in node.outputs}
        for body in graph.subgraphs():
            self._values |= {value.name for value in (*body.inputs, *body.initializers.values())}
        self._last: dict[str, int] = {}

    def stem(self, name: str, *, values: Sequence[str] = (), nodes: Sequence[str] = ()) -> str:
        """Reserves `name`, or name_1, name_2, …: the first that is free with all these endings.

        No node or value has a numbered stem as its name, so `unnumbered` can tell which name it comes from.
        """
        stem, number = name, self._last.get(name, 0)
        while (stem != name and (stem in self._values or stem in self._nodes)) or not (
            self._values.isdisjoint(stem + ending for ending in values)
            and self._nodes.isdisjoint(stem + ending for ending in nodes)
        ):
            number += 1
            stem = f"{name}_{number}"
        self._last[name] = number
        self._values |= {stem + ending for ending in values}
        self._nodes |= {stem + ending for ending in nodes}
        return stem

    def value_name(self, name: str) -> str:
        return self.stem(name, values=("",))

    def node_name(self, name: str) -> str:
        return self.stem(name, nodes=("",))

    def constant(
        self,
        name: str,
        tensor: NDArray[np.generic] | ir.TensorProtocol,
        *,
        reserved: bool = False,
        body: ir.Graph | None = None,
    ) -> ir.Value:
        """New initializer of the graph, or of a `body` in it.

        `reserved`: the name comes from `stem`, and is free.
        """
        free_name = name if reserved else self.value_name(name)
        constant = ir.tensor(tensor, name=free_name) if isinstance(tensor, np.ndarray) else tensor
        value = ir.Value(
            name=free_name,
            shape=ir.Shape(constant.shape.numpy()),
            type=ir.TensorType(constant.dtype),
            const_value=constant,
        )
        (self.graph if body is None else body).register_initializer(value)
        return value

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        name: str,
        attributes: dict[str, Any] | None = None,
        *,
        before: ir.Node | None = None,
    ) -> ir.Value:
        """Adds a node, at the end or `before` another, and returns its output.

        Both get this name, or a numbered one.
        """
        node = ir.node(op_type, inputs, attributes, name=self.node_name(name))
        self.rename(node.outputs[0], name)
        if before is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(before, node)
        return node.outputs[0]

    def supplant(
        self, output: ir.Value, tensor: NDArray[np.generic] | ir.TensorProtocol, body: ir.Graph | None = None
    ) -> None:
        """Replaces a node's output by an initializer of the same name."""
        name, output.name = name_of(output), None
        constant = self.constant(name, tensor, reserved=True, body=body)
        output.replace_all_uses_with(constant, replace_graph_outputs=True)

    def adopt(self, value: ir.Value) -> None:
        """Makes a free value an initializer, renamed if its name is taken."""
        value.name = self.value_name(value.name or "constant")
        self.graph.register_initializer(value)

    def rename(self, value: ir.Value, name: str) -> None:
        """Renames a value, with a number where the name is taken."""
        value.name = self.value_name(name)


def unnumbered(name: str, known: Container[str]) -> str:
    """Known name from which `GraphEditor.stem` derived `name`, else `name` itself."""
    plain = re.sub(r"_\d+$", "", name)
    return plain if name not in known and plain in known else name


def bypass(node: ir.Node, replacement: ir.Value) -> bool:
    """Replaces the node's first output by `replacement`, and removes the node.

    A graph output keeps its name. Returns False, and changes nothing, if `replacement` would then need two names: it is
    an input, a constant or itself a graph output.
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
    """Replaces the node by another operator with one output.

    Node and output keep their names.
    """
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


def replace_constant(value: ir.Value, array: NDArray[np.generic]) -> None:
    """Replaces the array of an initializer, which must have only one reader."""
    value.const_value = ir.tensor(array, name=value.name)
    value.shape = ir.Shape(array.shape)


def _graph_of(node: ir.Node) -> ir.Graph:
    if not isinstance(node.graph, ir.Graph):
        raise TypeError(f"node {node.name!r} is in no graph")
    return node.graph
