"""Units of an int8 model: operators with their epilogues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from tinyint.diagnosis.matched import Matched
from tinyint.errors import ModelError
from tinyint.graph.flow import bias_position, clamp_range, is_epilogue
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, facts, kind_of
from tinyint.graph.walk import constant_of, sole_consumer
from tinyint.quantization.qdq import declares_int8

__all__ = ["Unit", "int8_units", "units_of"]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Operator in int8, with the clamps and biases that its kernel takes in.

    * `name`, `op`: of the operator, in the float graph
    * `nodes`: names of its nodes, the operator first
    * `inputs`: computed tensors that it reads in 8 bits
    * `output`: its result, after the epilogues; `rounds_output`: whether that has a quantizer
    """

    name: str
    op: str
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    rounds_output: bool


def units_of(matched: Matched) -> tuple[Unit, ...]:
    """Units in graph order.

    Operators that only move values are none: they go with what reads them. Raises ModelError for a model that is
    quantized at run time, and for one without units.
    """
    if any(node.op_type == "DynamicQuantizeLinear" for node in matched.int8.graph.all_nodes()):
        raise ModelError(
            "the int8 model finds its ranges at run time (method dynamic), so that no unit has an error of its own; "
            "give one of the method static or weight_only"
        )
    found = int8_units(matched)
    if not found:
        raise ModelError(
            "no operator of the float model is quantized in the int8 model; see `tinyint inspect`"
        )
    return found


def int8_units(matched: Matched) -> tuple[Unit, ...]:
    """Units of a model of any method, in graph order; none is no error."""
    graph, int8 = matched.prepared.graph, matched.int8.graph
    twins = {node.name: node for node in int8 if node.name}
    rounded = {activation.name for activation in matched.pairs.activations}
    weighted = {constant.reader for constant in matched.pairs.constants}
    found = []
    for node in graph:
        twin = twins.get(name_of(node))
        in_int8 = node.name in weighted or (twin is not None and declares_int8(twin))
        if in_int8 and not is_epilogue(node) and kind_of(node) is not Kind.PRESERVING and facts(node):
            found.append(_unit(node, twin, rounded))
    return tuple(found)


def _unit(node: ir.Node, twin: ir.Node | None, rounded: set[str]) -> Unit:
    nodes = [node, *_epilogues(node)]
    output = name_of(nodes[-1].outputs[0])
    return Unit(
        name=name_of(node),
        op=node.op_type,
        nodes=tuple(map(name_of, nodes)),
        inputs=tuple(dict.fromkeys(_rounded_inputs(node, twin, rounded))),
        output=output,
        rounds_output=output in rounded,
    )


def _rounded_inputs(node: ir.Node, twin: ir.Node | None, rounded: set[str]) -> Iterator[str]:
    for i, value in enumerate(node.inputs):
        if value is None or value.name not in rounded or constant_of(value) is not None:
            continue
        read = twin.inputs[i] if twin is not None and i < len(twin.inputs) else None
        source = None if read is None else read.producer()
        if twin is None or (source is not None and source.op_type == "DequantizeLinear"):
            yield name_of(value)


def _epilogues(node: ir.Node) -> Iterator[ir.Node]:
    reader = sole_consumer(node.outputs[0])
    while reader is not None and (bias_position(reader) is not None or clamp_range(reader) is not None):
        yield reader
        reader = sole_consumer(reader.outputs[0])


def by_node(units: tuple[Unit, ...]) -> Mapping[str, Unit]:
    """Unit of each node that belongs to one."""
    return {name: unit for unit in units for name in unit.nodes}
