"""Insertion of quantizers into a program, as `qdq.insert` into a graph.

A value T that all its readers take quantized keeps its name, and what its maker gives becomes "T (float)"; where only
some do, these read "T (quantized)". A constant at place (node, i) becomes "node[i] (quantized)".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import ALL, Kind, data_inputs, is_weighted, kind_of
from tinyint.graph.walk import constant_of
from tinyint.qat.quantizers.activations import ActivationQuantizer
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.quantization.plan import Plan, Use
from tinyint.quantization.qparams import input_tensor
from tinyint.torch_graph.program import Step

__all__ = ["rewrite"]


def rewrite(
    steps: Sequence[Step],
    graph: ir.Graph,
    plan: Plan,
    quantizers: Mapping[str, ActivationQuantizer],
    weights: Mapping[Use, WeightQuantizer],
) -> list[Step]:
    """The steps with the plan carried out.

    * `quantizers`: by tensor; tensors that share a scale share one
    * `weights`: by the place that reads the constant; a bias goes with its weight
    """
    program = _Program(graph, plan, quantizers, weights)
    for value in graph.inputs:
        if (name := name_of(value)) in plan.tensors:
            program.quantize(name, name, None)
    for step in steps:
        program.add(step)
    return list(_in_place(program.steps, {name_of(value) for value in graph.outputs}, graph))


@dataclass
class _Program:
    graph: ir.Graph
    plan: Plan
    quantizers: Mapping[str, ActivationQuantizer]
    weights: Mapping[Use, WeightQuantizer]
    steps: list[Step] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)  # after a clamp that was dropped → before it
    quantized: dict[str, str] = field(default_factory=dict)  # tensor → the name of its quantized value
    scales: dict[str, str] = field(default_factory=dict)  # tensor → the name of its scale
    constants: dict[Use, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = {name_of(node): node for node in self.graph}
        self.fed = {value.name for value in self.graph.inputs}
        self.biases = {weight: use for use, weight in self.plan.bias_weights.items()}

    def add(self, step: Step) -> None:
        """The step, with the quantizers of its constants before it and those of its outputs after it."""
        node = self.nodes[step.name]
        if step.name in self.plan.absorbed:
            (source, *_), (out, *_) = step.inputs, step.outputs
            self.aliases[out] = self.aliases.get(source or "", source or "")
            if out in self.plan.tensors:
                self.quantize(out, self.aliases[out], node)
            return
        for position in range(len(node.inputs)):
            if (step.name, position) in self.weights:
                self._constant((step.name, position))
        inputs = tuple(self._read(name, (step.name, i)) for i, name in enumerate(step.inputs))
        outputs = tuple(self._made(name, node) for name in step.outputs)
        self.steps.append(replace(step, inputs=inputs, outputs=outputs))
        for name, made in zip(step.outputs, outputs, strict=True):
            if name in self.plan.tensors:
                self.quantize(name, made, node)

    def _read(self, name: str | None, use: Use) -> str | None:
        if name is None or use in self.constants:
            return self.constants.get(use)
        if name in self.quantized and self.plan.tensors[name].is_read_at(use):
            return self.quantized[name]
        return self.aliases.get(name, name)

    def _made(self, name: str, node: ir.Node) -> str:
        tensor = self.plan.tensors.get(name)
        renamed = tensor is not None and tensor.reads is ALL and not self._is_on_grid(name, node)
        return f"{name} (float)" if renamed else name

    def _is_on_grid(self, name: str, node: ir.Node) -> bool:
        """Whether the node only moves values that the same quantizer has rounded already."""
        if kind_of(node) not in (Kind.PRESERVING, Kind.JOIN):
            return False
        sources = [(i, name_of(v)) for i, v in data_inputs(node) if constant_of(v) is None]
        return (
            bool(sources)
            and len(sources) == len(list(data_inputs(node)))
            and all(
                source in self.quantized
                and self.quantizers[source] is self.quantizers[name]
                and self._read(source, (name_of(node), i)) == self.quantized[source]
                for i, source in sources
            )
        )

    def quantize(self, tensor: str, source: str, node: ir.Node | None) -> None:
        """The quantizer of `tensor`, whose values come under the name `source`, made by `node` or fed."""
        if node is not None and node.name not in self.plan.absorbed and self._is_on_grid(tensor, node):
            (_, first), *_ = data_inputs(node)
            self.quantized[tensor], self.scales[tensor] = tensor, self.scales[name_of(first)]
            return
        by_all = self.plan.tensors[tensor].reads is ALL and tensor not in self.fed
        self.quantized[tensor] = tensor if by_all else f"{tensor} (quantized)"
        self.scales[tensor] = f"{tensor} (scale)"
        outputs = (self.quantized[tensor], self.scales[tensor])
        self.steps.append(Step(f"{tensor}/Q", self.quantizers[tensor], (source,), outputs))

    def _constant(self, use: Use) -> None:
        name, position = use
        uses, inputs = [use], [self.nodes[name].inputs[position]]
        bias = self.biases.get(use)
        if bias is not None:
            uses.append(bias)
            inputs.append(self.nodes[bias[0]].inputs[bias[1]])
        read = [None if value is None else value.name for value in inputs]
        if bias is not None:
            read.append(self.scales[input_tensor(self.nodes[name], self.plan.tensors)])
        outputs = [f"{node}[{i}] (quantized)" for node, i in uses]
        self.constants.update(zip(uses, outputs, strict=True))
        self.steps.append(Step(f"{name}[{position}]/Q", self.weights[use], tuple(read), tuple(outputs)))


def _in_place(steps: Sequence[Step], outputs: set[str], graph: ir.Graph) -> Iterator[Step]:
    """Lets each quantizer write over its input where nothing else reads that."""
    # What they return is new, and nothing of it is kept for a gradient, so that a quantizer may write over it.
    fresh = {node.name for node in graph if is_weighted(node) or node.op_type in ("Add", "Sub")}
    makers = {out: step.name for step in steps for out in step.outputs}
    readers = Counter(name for step in steps for name in step.inputs)
    for step in steps:
        source = step.inputs[0] if step.inputs else None
        free = makers.get(source or "") in fresh and readers[source] == 1 and source not in outputs
        if isinstance(step.function, ActivationQuantizer) and free:
            yield replace(step, function=partial(step.function, in_place=True))
        else:
            yield step
