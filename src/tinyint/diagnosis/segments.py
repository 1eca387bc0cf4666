"""Segments of a graph by units: one for each, and for the nodes between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.diagnosis.units import Unit, by_node
from tinyint.graph.names import name_of
from tinyint.graph.segments import Segment, cut

__all__ = ["UnitSegment", "segments_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitSegment(Segment):
    """Segment of a unit; `unit` is None for what stands between units."""

    unit: Unit | None


def segments_of(model: ir.Model, units: tuple[Unit, ...]) -> list[UnitSegment]:
    """Segments of the model's graph, in an order in which they can run.

    Raises ModelError where a value that is no tensor passes from one to the next.
    """
    chunks = list(_chunks(model.graph, units))
    segments = cut(model, [nodes for nodes, _ in chunks])
    return [
        UnitSegment(**vars(segment), unit=unit)
        for segment, (_, unit) in zip(segments, chunks, strict=True)
        if segment.gives
    ]


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
