"""Placement of least cost: int8 where it saves more than the conversions around it.

With two precisions this is a minimum cut (Greig, Porteous and Seheult 1989): each node is on the side of int8 or of
float and costs its kernel there, and a tensor costs a conversion where its producer and one of its readers are on two
sides, once however many readers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, prod

import onnx_ir as ir

from tinyint.graph.flow import is_epilogue
from tinyint.graph.min_cut import min_cut
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, is_depthwise, is_weighted, kind_of
from tinyint.graph.walk import constant_of, consumers, macs, static_shape
from tinyint.quantization.plan import Plan
from tinyint.targets import Output, Target
from tinyint.targets.costs import Costs

__all__ = ["least_cost"]

_INT8, _FLOAT = "in int8", "in float"
_Edge = tuple[object, object, float]


def least_cost(
    model: ir.Model,
    plan: Plan,
    target: Target,
    costs: Costs,
    measured: Mapping[str, tuple[float, float]] | None = None,
) -> frozenset[str]:
    """Planned int8 nodes that stay in float in the placement of least cost.

    `measured`: microseconds of nodes in float and in int8, which go before `costs`. An unknown dimension counts as 1.
    """
    weigher = _Weigher(
        model=model, plan=plan, target=target, costs=costs, measured=measured or {}, macs=macs(model)
    )
    placed = min_cut(weigher.edges(), _INT8, _FLOAT)
    return frozenset(name for name in plan.int8_nodes if name not in placed)


@dataclass(frozen=True, kw_only=True)
class _Weigher:
    model: ir.Model
    plan: Plan
    target: Target
    costs: Costs
    measured: Mapping[str, tuple[float, float]]
    macs: dict[str, int]

    def edges(self) -> Iterator[_Edge]:
        """Edges of the cut: one from int8 is cut where its head is in float."""
        int8 = set(self.plan.int8_nodes)
        graph = self.model.graph
        for node in graph:
            name = name_of(node)
            if name not in int8:
                yield name, _FLOAT, inf
                continue
            in_float, in_int8 = self._kernel(node)
            yield _INT8, name, in_float
            yield name, _FLOAT, in_int8
            if is_epilogue(node):
                yield from self._bound(node)
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            yield from self._conversions(value, int8)

    def _bound(self, epilogue: ir.Node) -> Iterator[_Edge]:
        """An epilogue is on the side of the operator that it belongs to."""
        for value in epilogue.inputs:
            producer = None if value is None else value.producer()
            if producer is not None and constant_of(value) is None:
                yield name_of(producer), name_of(epilogue), inf
                yield name_of(epilogue), name_of(producer), inf

    def _conversions(self, value: ir.Value, int8: set[str]) -> Iterator[_Edge]:
        readers = {name_of(node) for node, _ in consumers(value)}
        if not readers & int8 and not self._made_in_int8(value, int8):
            return
        producer = value.producer()
        made = _FLOAT if producer is None else name_of(producer)
        to_int8, to_float = ("quantized", name_of(value)), ("dequantized", name_of(value))
        size = _size(value)
        yield to_int8, made, self.costs.quantize(size)
        yield from ((reader, to_int8, inf) for reader in readers & int8)
        if made == _FLOAT:
            return
        yield made, to_float, self.costs.dequantize(size) if self._ends_in_codes(value) else 0.0
        yield from ((to_float, reader, inf) for reader in readers)
        if value.is_graph_output():
            yield to_float, _FLOAT, inf

    def _made_in_int8(self, value: ir.Value, int8: set[str]) -> bool:
        producer = value.producer()
        return producer is not None and name_of(producer) in int8

    def _ends_in_codes(self, value: ir.Value) -> bool:
        """Whether the int8 kernel that makes the tensor writes codes, whoever reads them."""
        producer = value.producer()
        while producer is not None and is_epilogue(producer):
            source = next(v for v in producer.inputs if v is not None and constant_of(v) is None)
            producer = source.producer()
        rule = None if producer is None else self.target.operators.get(producer.op_type)
        return rule is None or rule.output in (Output.REQUIRED, Output.TRANSPARENT)

    def _kernel(self, node: ir.Node) -> tuple[float, float]:
        """Microseconds in float and in int8; an operator without figures costs the same, and so nothing."""
        if is_epilogue(node):
            return 0.0, 0.0
        if name_of(node) in self.measured:
            return self.measured[name_of(node)]
        kind = _kind(node)
        if kind not in self.costs.kernels:
            return 0.0, 0.0
        in_float, in_int8 = self.costs.kernels[kind]
        work = self.macs.get(name_of(node), 0) if is_weighted(node) else _size(node.outputs[0])
        return in_float(work), in_int8(work)


def _kind(node: ir.Node) -> str:
    """Name of the operator's kind in `Costs`."""
    if node.op_type == "Conv":
        weight = static_shape(node.inputs[1])
        if is_depthwise(node):
            return "depthwise"
        return "pointwise" if weight is not None and all(dim == 1 for dim in weight[2:]) else "spatial"
    if node.op_type == "ConvTranspose":
        return "deconvolution"
    if is_weighted(node):
        return "matmul"
    return "move" if kind_of(node) in (Kind.PRESERVING, Kind.JOIN) else node.op_type


def _size(value: ir.Value | None) -> int:
    return prod(dim or 1 for dim in (static_shape(value) or ()))
