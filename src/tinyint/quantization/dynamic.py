"""Dynamic quantization: int8 weights, activations quantized at run time, no data.

x·W + b becomes, with q, s, z from DynamicQuantizeLinear (uint8, asymmetric, over the range of this very tensor),

    MatMulInteger(q, W_q, z) · (s · s_w) + b

which is the form of the ONNX operator specification (MatMulInteger-10) that runtimes fuse into one kernel.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.ops import facts, layout_of
from tinyint.graph.walk import constant_of, is_float32, static_shape
from tinyint.quantization.plan import ConstantPlan, Use
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.tensors import weight_plan
from tinyint.quantization.qparams import assign_constants
from tinyint.quantization.recipe import Recipe, Rule
from tinyint.targets import Target

__all__ = ["quantize_dynamic"]


def quantize_dynamic(
    model: ir.Model, target: Target, recipe: Recipe, rules: dict[str, Rule]
) -> tuple[ir.Model, dict[Use, ConstantPlan], dict[str, str]]:
    """Copy of the prepared `model` with integer products.

    With its weights, and the reason for each other node.
    """
    model = model.clone()
    graph = model.graph
    decisions = Decisions(graph)
    for node in graph:
        if (reason := _refusal(node, target, rules)) is not None:
            decisions.keep_float(node, reason)
    chosen = [node for node in graph if decisions.runs_int8(node)]
    plans = {
        (name_of(node), 1): weight_plan(node, target, recipe, rules.get(name_of(node))) for node in chosen
    }
    constants = assign_constants({name_of(node): node for node in chosen}, plans)
    rewriter = _Rewriter(graph)
    for node in chosen:
        weight = constant_of(node.inputs[1])
        assert weight is not None
        constant = constants[name_of(node), 1]
        codes = constant.quantize(weight)
        if layout_of(node).outputs_first:
            codes = codes.T
        rewriter.replace(node, codes, constant.params.scale)
    return model, plans, decisions.float_nodes


def _refusal(node: ir.Node, target: Target, rules: dict[str, Rule]) -> str | None:
    """What keeps the node in float, if anything does."""
    name = name_of(node)
    if name in rules and rules[name].float:
        return "kept in float, as the recipe asks"
    if facts(node) is None or node.op_type not in target.dynamic:
        return f"{target.name} has no {node.op_type} that quantizes its input at run time"
    weight = node.inputs[1]
    if constant_of(weight) is None or not is_float32(weight) or len(static_shape(weight) or ()) != 2:
        return "its weights are not a constant float32 matrix"
    if not is_float32(node.inputs[0]) or node.attributes.get_int("transA", 0) == 1:
        known = node.inputs[0] is None or node.inputs[0].dtype is not None
        return (
            "its input is transposed or not float32" if known else "the type of its input cannot be inferred"
        )
    return None


_CONSTANTS = ("/weight_q", "/weight_zero_point", "/weight_scale")
_PARTS = ("/integer", "/cast", "/scale", "/scaled", "/biased")


class _Rewriter:
    """Puts integer products into a graph; the quantizer of an input is shared by all that read it."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph, self._editor = graph, GraphEditor(graph)
        self._quantized: dict[ir.Value, tuple[ir.Value, ir.Value, ir.Value]] = {}

    def replace(self, node: ir.Node, codes: np.ndarray, weight_scale: np.ndarray) -> None:
        """`codes` has shape (K, N), `weight_scale` () or (N,)."""
        source = node.inputs[0]
        assert source is not None
        name = self._editor.stem(name_of(node), values=_CONSTANTS, nodes=_PARTS)
        if source not in self._quantized:
            quantizer = self._editor.node_name(f"{source.name}/dynamic")
            outputs = self._before(node, "DynamicQuantizeLinear", [source], quantizer, 3)
            self._quantized[source] = outputs[0], outputs[1], outputs[2]
        q, scale, zero_point = self._quantized[source]
        weight = self._editor.constant(f"{name}/weight_q", np.ascontiguousarray(codes), reserved=True)
        zeros = np.zeros(weight_scale.shape, codes.dtype)
        weight_zero = self._editor.constant(f"{name}/weight_zero_point", zeros, reserved=True)
        integers = self._before(
            node, "MatMulInteger", [q, weight, zero_point, weight_zero], f"{name}/integer"
        )[0]
        accumulated = self._before(node, "Cast", [integers], f"{name}/cast", to=int(ir.DataType.FLOAT))[0]
        scales = [scale, self._editor.constant(f"{name}/weight_scale", weight_scale, reserved=True)]
        combined = self._before(node, "Mul", scales, f"{name}/scale")[0]
        result = self._before(node, "Mul", [accumulated, combined], f"{name}/scaled")[0]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            result = self._before(node, "Add", [result, bias], f"{name}/biased")[0]
        self._take_over(node, result)

    def _before(
        self,
        node: ir.Node,
        op_type: str,
        inputs: list[ir.Value],
        name: str,
        outputs: int = 1,
        **attributes: int,
    ) -> list[ir.Value]:
        new = ir.node(op_type, inputs, attributes=attributes, name=name, num_outputs=outputs)
        for i, value in enumerate(new.outputs):
            self._editor.rename(value, f"{name}_{i}")
        self._graph.insert_before(node, new)
        return list(new.outputs)

    def _take_over(self, node: ir.Node, result: ir.Value) -> None:
        old, weight = node.outputs[0], node.inputs[1]
        result.name, result.shape, result.dtype, old.name = old.name, old.shape, ir.DataType.FLOAT, None
        ir.convenience.replace_all_uses_with(old, result, replace_graph_outputs=True)
        self._graph.remove(node, safe=True)
        if weight is not None and not weight.uses():
            self._graph.initializers.pop(name_of(weight), None)
