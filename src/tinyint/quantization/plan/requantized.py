"""Float operators whose weights a runtime would quantize by itself.

ONNX Runtime does, with one scale for all, where the input comes out of a quantizer and the result goes into one, as
around a convolution that a rule holds in float (onnxruntime 1.31, qdq_transformer/weight_bias_quantization.cc).
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from tinyint.graph.flow import is_epilogue
from tinyint.graph.names import name_of
from tinyint.graph.ops import ALL, All, is_weighted
from tinyint.graph.walk import sole_consumer
from tinyint.quantization.plan.decisions import Decisions
from tinyint.quantization.plan.plan import Use
from tinyint.targets import Target

__all__ = ["requantized"]


def requantized(
    graph: ir.Graph, target: Target, decisions: Decisions, reads: Mapping[str, set[Use] | All]
) -> list[ir.Node]:
    """Such nodes; `reads`: quantized tensors, each with the places that read its codes."""

    def read_at(value: ir.Value | None, node: ir.Node) -> bool:
        uses = set() if value is None else reads.get(name_of(value), set())
        return uses is ALL or (name_of(node), 0) in uses

    return [
        node
        for node in graph
        if node.op_type in target.requantizes
        and is_weighted(node)
        and not decisions.runs_int8(node)
        and read_at(node.inputs[0], node)
        and _ends_in(node.outputs[0], reads)
    ]


def _ends_in(value: ir.Value, quantized: Mapping[str, object]) -> bool:
    """Whether a quantizer alone reads the value, or what clamps make of it."""
    while name_of(value) not in quantized:
        reader = sole_consumer(value)
        if reader is None or not is_epilogue(reader):
            return False
        value = reader.outputs[0]
    return True
