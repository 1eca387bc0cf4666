"""Substitutes, for shape inference, of operators that it does not know.

These are ONNX Runtime's own operators, and those of ONNX that onnx 1.23 has no inference for. Inference ends at such an
operator, and all values after it stay untyped. So it runs on a graph with substitutes of the same type and shape.
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
"""Their first output has the type and shape of their first input (ONNX Runtime's contrib operator documentation)."""
_NOT_INFERRED = {"GroupNormalization"}
_TYPED_LIKE_FIRST = {
    "Attention", "PackedAttention", "GroupQueryAttention", "FusedMatMul", "FusedConv", "FusedGemm",
}  # fmt: skip


def with_stand_ins(proto: onnx.ModelProto) -> None:
    """Replaces such operators of the main graph, in place; their outputs keep their names."""
    version = next((entry.version for entry in proto.opset_import if entry.domain == ""), 1)
    names, has_open_shapes = tensor_names(proto.graph), False
    shape = next(s for i in range(len(names) + 1) if (s := f"tinyint/any_shape_{i}") not in names)
    for node in proto.graph.node:
        is_standard = node.domain == "" and onnx.defs.has(node.op_type, version, "")
        if is_standard and node.op_type not in _NOT_INFERRED:
            continue
        if node.domain not in ("", _MICROSOFT) or not node.input or not node.output:
            continue
        first, output = node.input[0], node.output[0]
        if node.op_type in _LIKE_FIRST:
            node.CopyFrom(onnx.helper.make_node("Identity", [first], [output]))
        elif node.op_type == "EmbedLayerNormalization" and len(node.input) > 2:
            node.CopyFrom(onnx.helper.make_node("Gather", [node.input[2], first], [output]))
        elif node.op_type in _TYPED_LIKE_FIRST:
            node.CopyFrom(onnx.helper.make_node("Reshape", [first, shape], [output]))
            has_open_shapes = True
    if has_open_shapes:
        proto.graph.input.append(onnx.helper.make_tensor_value_info(shape, onnx.TensorProto.INT64, None))
