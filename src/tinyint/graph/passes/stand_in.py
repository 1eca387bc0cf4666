"""Substitutes for operators unknown to shape inference, same type and shape.

Those are ONNX Runtime's own, and the ones of ONNX that its library (1.23) has no inference for.

Inference of shapes ends at an operator that it does not know, and all after it stays without a type. So it is asked
about a graph in which each that is known here has a stand-in.
"""

from __future__ import annotations

import onnx

from tinyint.graph.dense import tensor_names

__all__ = ["with_stand_ins"]

_MICROSOFT = "com.microsoft"
_LIKE_FIRST = {
    "Gelu", "FastGelu", "QuickGelu", "BiasGelu", "BiasAdd", "BiasDropout", "BiasSoftmax", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization", "LayerNormalization", "GroupNorm",
    "SkipGroupNorm", "GroupNormalization", "MultiHeadAttention", "DecoderMaskedMultiHeadAttention", "RotaryEmbedding",
    "Trilu", "Inverse",
}  # fmt: skip
"""Their first result is like their first operand (contrib operator documentation of ONNX Runtime)."""
_NOT_INFERRED = {"GroupNormalization"}
_TYPED_LIKE_FIRST = {
    "Attention", "PackedAttention", "GroupQueryAttention", "FusedMatMul", "FusedConv", "FusedGemm",
}  # fmt: skip


def with_stand_ins(proto: onnx.ModelProto) -> None:
    """Replaces, in place, operators unknown to inference, under their outputs' names.

    Those of the main graph.
    """
    version = next((entry.version for entry in proto.opset_import if entry.domain == ""), 1)
    taken, unknown = tensor_names(proto.graph), False
    place = next(p for i in range(len(taken) + 1) if (p := f"tinyint/any_shape_{i}") not in taken)
    for node in proto.graph.node:
        known = node.domain == "" and onnx.defs.has(node.op_type, version, "")
        if known and node.op_type not in _NOT_INFERRED:
            continue
        if node.domain not in ("", _MICROSOFT) or not node.input or not node.output:
            continue
        first, made = node.input[0], node.output[0]
        if node.op_type in _LIKE_FIRST:
            node.CopyFrom(onnx.helper.make_node("Identity", [first], [made]))
        elif node.op_type == "EmbedLayerNormalization" and len(node.input) > 2:
            node.CopyFrom(onnx.helper.make_node("Gather", [node.input[2], first], [made]))
        elif node.op_type in _TYPED_LIKE_FIRST:
            node.CopyFrom(onnx.helper.make_node("Reshape", [first, place], [made]))
            unknown = True
    if unknown:
        proto.graph.input.append(onnx.helper.make_tensor_value_info(place, onnx.TensorProto.INT64, None))
