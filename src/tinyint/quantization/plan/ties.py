"""Tensors that share a scale: operators move values between them unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from tinyint.graph.flow import clamp_range, is_epilogue
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, data_inputs, kind_of
from tinyint.graph.walk import constant_of, consumers
from tinyint.quantization.plan.decisions import Decisions
from tinyint.targets import Output, Target

__all__ = ["UNLIKE", "StepOf", "Ties", "cut_of", "tie"]

UNLIKE = 2.0
"""How many times as coarse as its own step a tensor's may become by sharing one: one of eight bits, 6 dB."""

StepOf = Callable[[ir.Value], float | None]
"""The scale that the tensor would have by itself; None if nothing is known of it."""


@dataclass
class Ties:
    """Sets of tensors that share a scale, by union and find.

    * `apart`: joins whose tensors keep scales of their own, since one would be so many times too coarse
    * `steps`: by the root of a set, the finest and the coarsest step of its members
    """

    parent: dict[str, str] = field(default_factory=dict)
    apart: dict[ir.Node, float] = field(default_factory=dict)
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)

    def groups(self, names: Iterable[str]) -> dict[str, str]:
        """First member of each tensor's scale group."""
        first_of: dict[str, str] = {}
        return {name: first_of.setdefault(self.root(name), name) for name in names}

    def root(self, name: str) -> str:
        self.parent.setdefault(name, name)
        while self.parent[name] != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def unite(self, values: list[ir.Value]) -> None:
        first, *others = [self.root(name_of(value)) for value in values]
        for other in others:
            self.parent[other] = first


def tie(graph: ir.Graph, target: Target, decisions: Decisions, step_of: StepOf | None = None) -> Ties:
    """Scale groups: as moving operators demand and joins allow.

    Joins allow by the tensors' steps, where those are known.

    A join of a clamped and a free tensor ties nothing, and is better off so: a range of its own lets the quantizer
    replace the clamp.
    """
    ties = Ties()
    tied = [
        node
        for node in graph
        if decisions.runs_int8(node) and not is_epilogue(node) and target.operators[node.op_type].tied
    ]
    for node in tied:
        if kind_of(node) is not Kind.JOIN:
            ties.unite(_computed(node))
    for node in tied:
        if kind_of(node) is Kind.JOIN:
            _tie_join(ties, node, target, decisions, step_of)
    return ties


def _tie_join(
    ties: Ties, node: ir.Node, target: Target, decisions: Decisions, step_of: StepOf | None
) -> None:
    values = _computed(node)
    roots = {ties.root(name_of(value)) for value in values}
    steps = [step for root in roots for step in ties.steps.get(root, ())]
    if step_of is not None:
        every = [step_of(value) for value in (*(value for _, value in data_inputs(node)), *node.outputs)]
        steps += [step for step in every if step is not None]
    if steps and max(steps) > UNLIKE * min(steps) and _is_felt(node, decisions):
        ties.apart[node] = max(steps) / min(steps)
        return
    served = target.operators[node.op_type].output is Output.TRANSPARENT
    if served or len({cut_of(value) for _, value in data_inputs(node)}) == 1:
        ties.unite(values)
        if steps:
            ties.steps[ties.root(name_of(values[0]))] = min(steps), max(steps)


def _is_felt(node: ir.Node, decisions: Decisions) -> bool:
    """Whether the joined tensor has readers other than one-scale int8 operators."""
    return not read_as_one(node, decisions) or any(
        _read_elsewhere(value, node) for _, value in data_inputs(node)
    )


def read_as_one(node: ir.Node, decisions: Decisions) -> bool:
    """Whether all readers are int8 products, means or comparisons.

    Readers of the node's outputs, also after operators that move or join them. Elementwise readers, a gate or a batch
    norm, may make much of the finer part.
    """
    for out in node.outputs:
        if out.is_graph_output():
            return False
        for reader, _ in consumers(out):
            kind = kind_of(reader)
            if not decisions.runs_int8(reader):
                return False
            if kind in (Kind.ELEMENTWISE, Kind.ACTIVATION, Kind.CLAMP):
                return False
            if kind in (Kind.PRESERVING, Kind.JOIN) and not read_as_one(reader, decisions):
                return False
    return True


def _read_elsewhere(value: ir.Value, node: ir.Node) -> bool:
    """Whether others than the node read the tensor, or that which operators moved there."""
    if constant_of(value) is not None:
        return False
    if value.is_graph_output() or any(reader is not node for reader, _ in consumers(value)):
        return True
    producer = value.producer()
    source = producer.inputs[0] if producer is not None and kind_of(producer) is Kind.PRESERVING else None
    return source is not None and producer is not None and _read_elsewhere(source, producer)


def _computed(node: ir.Node) -> list[ir.Value]:
    return [value for _, value in data_inputs(node) if constant_of(value) is None] + list(node.outputs)


def cut_of(value: ir.Value) -> tuple[float, float] | None:
    """Range of the clamp before the tensor, through operators that move values."""
    producer = value.producer()
    while producer is not None and kind_of(producer) is Kind.PRESERVING and producer.inputs[0] is not None:
        producer = producer.inputs[0].producer()
    return None if producer is None else clamp_range(producer)
