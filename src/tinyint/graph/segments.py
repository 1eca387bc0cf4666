"""Segments of a graph: nodes that follow each other, as models of their own.

Run one after the other they give the outputs of the graph, and a change that one of them makes is followed by running
those after it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.graph.walk import inner_nodes

__all__ = ["Segment", "cut"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Nodes that follow each other.

    * `reads`: tensors that come from earlier segments or the inputs; `gives`: those that are read later
    * `last_read`: tensors that no later segment reads
    """

    nodes: tuple[ir.Node, ...]
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    last_read: frozenset[str] = frozenset()

    def model(self, whole: ir.Model, tensors: Mapping[str, np.ndarray]) -> ir.Model:
        """Copy as a model of its own.

        Types and ranks that the graph leaves open are those of `tensors`, which it reads.
        """
        values = {name_of(value): value for node in self.nodes for value in _touched(node)}
        constants = [v for v in values.values() if v.is_initializer() and not v.is_graph_input()]
        view = ir.GraphView(
            [values[name] for name in self.reads],
            [values[name] for name in self.gives],
            nodes=self.nodes,
            initializers=constants,
            opset_imports=whole.graph.opset_imports,
            name=whole.graph.name,
        )
        model = ir.Model(view.clone(), ir_version=whole.ir_version)
        for value in model.graph.inputs:
            if value.dtype is None:
                value.dtype = ir.DataType.from_numpy(tensors[name_of(value)].dtype)
            if value.shape is None:
                value.shape = ir.Shape([None] * tensors[name_of(value)].ndim)
        return model


def cut(model: ir.Model, parts: Sequence[tuple[ir.Node, ...]]) -> list[Segment]:
    """Segment of each part of the model's nodes, which can run in this order.

    Raises ModelError where a value that is no tensor passes from one to the next.
    """
    outputs = {name_of(value) for value in model.graph.outputs}
    later = set(outputs)
    found: list[Segment] = []
    for nodes in reversed(parts):
        made = {name_of(out) for node in nodes for out in node.outputs}
        reads = {name for node in nodes for name in _read(node)} - made
        results = {name_of(out): out for node in nodes for out in node.outputs if out.name}
        gives = tuple(name for name in results if name in later)
        for name in gives:
            _require_tensor(results[name], is_output=name in outputs)
        last_read = frozenset(reads - later)
        found.append(Segment(nodes=nodes, reads=tuple(sorted(reads)), gives=gives, last_read=last_read))
        later |= reads
    return found[::-1]


def _read(node: ir.Node) -> Iterator[str]:
    """Computed tensors that a node reads, in its bodies too."""
    for value in _touched(node, outputs=False):
        if value.name and (value.is_graph_input() or not value.is_initializer()):
            yield value.name


def _touched(node: ir.Node, *, outputs: bool = True) -> Iterator[ir.Value]:
    """Values of the node's graph that it and its bodies read, and those that it makes."""
    for reader in (node, *inner_nodes(node)):
        for value in reader.inputs:
            if value is not None and value.graph is node.graph:
                yield value
    for body in _bodies(node):
        yield from (value for value in body.outputs if value.graph is node.graph)
    if outputs:
        yield from node.outputs


def _bodies(node: ir.Node) -> Iterable[ir.Graph]:
    graphs = {inner.graph for inner in inner_nodes(node)}
    return [graph for graph in graphs if isinstance(graph, ir.Graph)]


def _require_tensor(value: ir.Value, *, is_output: bool) -> None:
    if not is_output and value.type is not None and not isinstance(value.type, ir.TensorType):
        kind = type(value.type).__name__.removesuffix("Type").lower()
        raise ModelError(
            f"{value.name!r} is a {kind}: parts of a graph are run alone only where tensors pass between them"
        )
