"""Segments of a graph: units, and the nodes between them.

Run one after the other they give the outputs of the graph, and a change that one of them makes is followed by running
those after it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.diagnosis.units import Unit, by_node
from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.graph.walk import inner_nodes

__all__ = ["Segment", "segments_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Nodes that follow each other.

    * `unit`: whose they are; None for what stands between units
    * `reads`: tensors that come from earlier segments or the inputs; `gives`: those that are read later
    * `last_read`: tensors that no later segment reads
    """

    nodes: tuple[ir.Node, ...]
    unit: Unit | None
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    last_read: frozenset[str] = frozenset()

    def model(self, whole: ir.Model) -> ir.Model:
        """Copy as a model of its own."""
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
        return ir.Model(view.clone(), ir_version=whole.ir_version)


def segments_of(model: ir.Model, units: tuple[Unit, ...]) -> list[Segment]:
    """Segments of the model's graph, in an order in which they can run.

    Raises ModelError where a value that is no tensor passes from one to the next.
    """
    graph = model.graph
    chunks = list(_chunks(graph, units))
    outputs = {name_of(value) for value in graph.outputs}
    needed: list[set[str]] = []
    for nodes, _ in chunks:
        made = {name_of(out) for node in nodes for out in node.outputs}
        needed.append({name for node in nodes for name in _read(node)} - made)
    later = set(outputs)
    found: list[Segment] = []
    for (nodes, unit), reads in zip(reversed(chunks), reversed(needed), strict=True):
        results = {name_of(out): out for node in nodes for out in node.outputs if out.name}
        gives = tuple(name for name in results if name in later)
        for name in gives:
            _require_tensor(results[name], is_output=name in outputs)
        found.append(
            Segment(
                nodes=nodes,
                unit=unit,
                reads=tuple(sorted(reads)),
                gives=gives,
                last_read=frozenset(reads - later),
            )
        )
        later |= reads
    return [segment for segment in reversed(found) if segment.gives]


def _chunks(graph: ir.Graph, units: tuple[Unit, ...]) -> Iterator[tuple[tuple[ir.Node, ...], Unit | None]]:
    """Nodes of each unit together, at the place of the first; those between units together."""
    unit_of, nodes = by_node(units), {name_of(node): node for node in graph}
    between: list[ir.Node] = []
    for node in graph:
        unit = unit_of.get(name_of(node))
        if unit is None:
            between.append(node)
        elif unit.name == node.name:
            if between:
                yield tuple(between), None
                between = []
            yield tuple(nodes[name] for name in unit.nodes), unit
    if between:
        yield tuple(between), None


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
            f"{value.name!r} is a {kind}: units are measured alone only where tensors pass between them"
        )
