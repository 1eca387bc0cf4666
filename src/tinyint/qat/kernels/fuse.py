"""Fusion of evaluation steps into the runtime's int8 kernels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, data_inputs, facts, kind_of, weight_axis
from tinyint.qat.kernels.formulas import ELEMENTWISE, MEANS, PRODUCTS, ROUNDINGS, Mean, Product
from tinyint.qat.kernels.fused import (
    FusedElementwise,
    FusedMean,
    FusedProduct,
    FusedRounding,
    FusedStep,
    FusedSum,
    Operand,
)
from tinyint.qat.quantizers.activations import ActivationQuantizer
from tinyint.qat.quantizers.weights import WeightQuantizer
from tinyint.targets import Kernel, OperatorRule, Output, Target
from tinyint.torch_graph.program import Step

__all__ = ["fuse"]


def fuse(steps: Sequence[Step], graph: ir.Graph, target: Target) -> list[Step]:
    """Replaces steps of `rewrite` that `target` runs as one int8 kernel.

    They are one where all that the operator reads lies on the grids of quantizers, and a quantizer alone reads what it
    gives, or the target needs none there.
    """
    return _Fusion(steps, graph, target).run()


class _Fusion:
    def __init__(self, steps: Sequence[Step], graph: ir.Graph, target: Target) -> None:
        self.steps, self.target = steps, target
        self.nodes = {name_of(node): node for node in graph}
        self.kept = {name_of(value) for value in graph.outputs}
        self.readers = {name: step for step in steps for name in step.inputs if name}
        self.reads = Counter(name for step in steps for name in step.inputs)
        self.operands: dict[str, Operand] = {}  # by the name of the quantized value
        self.constants: dict[
            str, Step
        ] = {}  # the quantizer of a constant, by the name of the quantized value
        self.products: dict[str, FusedProduct] = {}  # by the name of the quantized value
        self.done: set[str] = set()  # quantizers that are part of the step before them

    def run(self) -> list[Step]:
        result = []
        for step in self.steps:
            if step.name not in self.done:
                self._learn(step)
                result.append(self._fused(step) or step)
        needed = self.kept.union(*(step.inputs for step in result))
        idle = {step.name for step in self.constants.values()} | {
            f.steps[-1].name for f in self.products.values()
        }
        return [step for step in result if step.name not in idle or needed.intersection(step.outputs)]

    def _learn(self, step: Step) -> None:
        """Which of the step's outputs lie on a grid."""
        quantizer, node = _quantizer(step), self.nodes.get(step.name)
        if isinstance(quantizer, WeightQuantizer):
            value, *others = step.inputs
            self.constants.update(dict.fromkeys(step.outputs, step))
            self.operands[step.outputs[0]] = Operand(value or "", quantizer, *others)
        elif quantizer is not None:
            self.operands[step.outputs[0]] = Operand(step.outputs[0], quantizer)
        elif node is not None and kind_of(node) in (Kind.PRESERVING, Kind.JOIN):
            sources = [self.operands.get(step.inputs[i] or "") for i, _ in data_inputs(node)]
            quantizers = {None if source is None else source.quantizer for source in sources}
            common = quantizers.pop() if len(quantizers) == 1 else None
            if common is not None:
                self.operands.update({name: Operand(name, common) for name in step.outputs})

    def _fused(self, step: Step) -> Step | None:
        if isinstance(_quantizer(step), ActivationQuantizer):
            kernel = self.target.quantizer
            return None if kernel is None else self._step(step, FusedRounding, kernel=ROUNDINGS[kernel])
        node = self.nodes.get(step.name)
        rule = None if node is None else self.target.operators.get(node.op_type)
        if node is None or rule is None or rule.kernel is None:
            return None
        operands = [self.operands[name] for name in step.inputs if name in self.operands]
        if rule.kernel in PRODUCTS:
            return self._product(step, node, rule, PRODUCTS[rule.kernel], operands)
        if self._behind(step) is None or len(operands) < len(list(filter(None, step.inputs))):
            return None
        if rule.kernel in ROUNDINGS:
            return self._step(step, FusedRounding, kernel=ROUNDINGS[rule.kernel])
        if rule.kernel in MEANS:
            return self._mean(step, node, MEANS[rule.kernel], operands[0])
        if rule.kernel is Kernel.ONTO_PRODUCT:
            return self._sum(step, node, operands)
        return self._step(step, FusedElementwise, kernel=ELEMENTWISE[rule.kernel], operands=tuple(operands))

    def _product(
        self, step: Step, node: ir.Node, rule: OperatorRule, kernel: Product, operands: Sequence[Operand]
    ) -> Step | None:
        """None where something is in float, or where a Gemm is more than a product."""
        if rule.output is Output.REQUIRED and self._behind(step) is None:
            return None
        if len(operands) != 2 or not isinstance(operands[0].quantizer, ActivationQuantizer):
            return None
        x, w = operands
        bias = w.bias if any(step.inputs[2:]) else None
        if any(step.inputs[2:]) and bias is None:
            return None
        row = facts(node)
        assert row is not None
        if node.op_type == "Gemm" and (
            node.attributes.get_int("transA", 0) == 1
            or {node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)} != {1.0}
        ):
            return None
        return self._step(
            step,
            FusedProduct,
            kernel=kernel,
            function=step.function,
            x=x,
            w=w,
            bias=bias,
            axes=(weight_axis(node), row.channel_axis),
        )

    def _mean(self, step: Step, node: ir.Node, kernel: Mean, x: Operand) -> Step | None:
        """None where some windows hold fewer elements than others."""
        if node.attributes.get_int("ceil_mode", 0) or any(node.attributes.get_ints("pads", [])):
            return None
        window = node.attributes.get_ints("kernel_shape", None)
        count = math.prod(window) if window else None
        return self._step(step, FusedMean, kernel=kernel, function=step.function, x=x, count=count)

    def _sum(self, step: Step, node: ir.Node, operands: Sequence[Operand]) -> Step | None:
        """Fused sum of a product, or None.

        None where neither operand is a product that only this step reads, or where it is a product of the other one,
        or one is a constant or broadcast.
        """
        left, right = (value.shape if value is not None else None for value in node.inputs)
        if left != right or any(isinstance(operand.quantizer, WeightQuantizer) for operand in operands):
            return None
        for operand, x in zip(operands, reversed(operands), strict=True):
            product = self.products.get(operand.name)
            alone = self.reads[operand.name] == 1 and operand.name not in self.kept
            if product is not None and alone and product.x.name != x.name:
                return self._step(step, FusedSum, before=product.steps, product=product, x=x)
        return None

    def _behind(self, step: Step) -> Step | None:
        """The quantizer that alone reads what the step gives."""
        (made, *others) = step.outputs
        reader = self.readers.get(made)
        if others or made in self.kept or self.reads[made] != 1 or reader is None:
            return None
        return reader if isinstance(_quantizer(reader), ActivationQuantizer) else None

    def _step(
        self, step: Step, kind: Callable[..., FusedStep], before: Sequence[Step] = (), **known: Any
    ) -> Step:
        """Fused step, with steps before it, quantizers of constants and output."""
        own = _quantizer(step)
        behind = None if own is not None else self._behind(step)
        read = (self.constants[name] for name in step.inputs if name in self.constants)
        constants = {constant.name: constant for constant in read}
        steps = (*before, *constants.values(), step, *([] if behind is None else [behind]))
        made = {name for part in steps for name in part.outputs}
        outer = dict.fromkeys(n for part in steps for n in part.inputs if n is not None and n not in made)
        last = steps[-1]
        if behind is not None:
            self.done.add(behind.name)
            self.operands[behind.outputs[0]] = Operand(behind.outputs[0], _activation(behind))
        out = None if last is step and own is None else _activation(last)
        function = kind(steps=steps, inputs=tuple(outer), out=out, **known)
        if isinstance(function, FusedProduct) and behind is not None:
            self.products[behind.outputs[0]] = function
        return Step(last.name, function, function.inputs, last.outputs)


def _activation(step: Step) -> ActivationQuantizer:
    quantizer = _quantizer(step)
    assert isinstance(quantizer, ActivationQuantizer)
    return quantizer


def _quantizer(step: Step) -> ActivationQuantizer | WeightQuantizer | None:
    """What the step is, if it is a quantizer."""
    function = step.function.func if isinstance(step.function, partial) else step.function
    return function if isinstance(function, ActivationQuantizer | WeightQuantizer) else None
