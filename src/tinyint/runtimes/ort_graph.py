"""ONNX Runtime's optimized graph: its int8 nodes, and the source nodes of each.

Fusions name the new node in one of three ways (version 1.31): the source node's name with `_token_N` or `/SomeFusion`
appended, the source *value's* name with `_nchwc` appended, or a new name, with the output value's name unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx_ir as ir

from tinyint.graph.names import name_of
from tinyint.runtimes.base import Executed

__all__ = ["describe"]

# Kernels of ONNX Runtime that read 8-bit integers; QLinear… and …Integer… are recognized by name.
_INT8_KERNELS = {
    "QGemm",
    "QAttention",
    "QOrderedMatMul",
    "QMoE",
    "DynamicQuantizeLSTM",
    "QEmbedLayerNormalization",
}
# They move or select values, so they run in the type of their input.
_PRESERVING = {
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "NhwcMaxPool", "Pad", "Relu",
    "ReorderInput", "ReorderOutput", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze", "Upsample",
}  # fmt: skip
_SELECTING = {"ArgMax"}  # returns indices, for bytes as for floats
_QDQ = {"QuantizeLinear", "DequantizeLinear"}
_BYTE = {ir.DataType.INT8, ir.DataType.UINT8}
# An operator with weights absorbs an activation or a bias that follows it.
_WEIGHTED = re.compile(r"Conv|Gemm|MatMul")
_EPILOGUE = {"Add", "Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"}
_RESCALING = {"Cast", "Mul"}  # of the int32 result of MatMulInteger


def describe(graph: ir.Graph, source: ir.Graph) -> list[Executed]:
    """One row per node of ONNX Runtime's optimized `graph`, traced back to `source`."""
    origins = _origins(list(graph), source)
    byte_values = {name for name, value in graph.initializers.items() if value.dtype in _BYTE}
    byte_values |= {value.name for value in graph.inputs if value.dtype in _BYTE and value.name}
    rows = []
    for node, sources in zip(graph, origins, strict=True):
        reads_bytes = bool(node.inputs) and node.inputs[0] is not None and node.inputs[0].name in byte_values
        int8 = _is_int8(node, reads_bytes)
        if _writes_bytes(node, int8, reads_bytes):
            byte_values |= {out.name for out in node.outputs if out.name}
        name = sources[0] if sources else node.name or node.op_type
        detail = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
        rows.append(Executed(name=name, op=node.op_type, int8=int8, detail=detail, sources=sources))
    return rows


def _is_int8(node: ir.Node, reads_bytes: bool) -> bool:
    op = node.op_type
    if op == "MatMulNBits":
        bits = node.attributes.get("bits")
        level = node.attributes.get("accuracy_level")
        return bits is not None and bits.as_int() <= 8 and level is not None and level.as_int() == 4
    if op.startswith(("QLinear", "DynamicQuantizeMatMul")) or "Integer" in op or op in _INT8_KERNELS:
        return True
    return op in _PRESERVING | _SELECTING and reads_bytes


def _writes_bytes(node: ir.Node, int8: bool, reads_bytes: bool) -> bool:
    op = node.op_type
    if op in _PRESERVING:
        return reads_bytes
    if op == "QuantizeLinear":
        zero_point = node.inputs[2] if len(node.inputs) > 2 else None
        return zero_point is None or zero_point.dtype is None or zero_point.dtype in _BYTE
    if op == "QGemm":  # its ninth input is the output's zero-point; without it, the output is float
        return len(node.inputs) > 8 and node.inputs[8] is not None
    return int8 and op.startswith("QLinear")


def _origins(nodes: Sequence[ir.Node], source: ir.Graph) -> list[tuple[str, ...]]:
    """Names of each node's source nodes, the one with weights first."""
    by_name = {node.name: node for node in source if node.name}
    by_value = {out.name: node for node in source for out in node.outputs if out.name}
    origins = [_origin_by_name(node, by_name, by_value) for node in nodes]
    claimed = {name_of(origin) for origin in origins if origin is not None}
    return [
        () if origin is None else _with_fused(node, origin, claimed)
        for node, origin in zip(nodes, origins, strict=True)
    ]


def _with_fused(node: ir.Node, origin: ir.Node, claimed: set[str]) -> tuple[str, ...]:
    """Names of the source node and of those fused into it; `claimed` gets the latter."""
    sources = [origin]
    if _WEIGHTED.search(node.op_type):
        if not _WEIGHTED.search(origin.op_type):  # the name is that of the value after its activation
            sources[:0] = _fused_neighbors(origin, claimed, forward=False)
        sources += _fused_neighbors(sources[-1], claimed, forward=True)
    return tuple(name_of(n) for n in sources)


def _origin_by_name(
    node: ir.Node, by_name: dict[str, ir.Node], by_value: dict[str, ir.Node]
) -> ir.Node | None:
    """Source node that the node's name, or that of its output, refers to.

    None if it was added.
    """
    name = re.sub(r"_token_\d+$", "", name_of(node))
    stems = [name, *(name[: match.start()] for match in reversed(list(re.finditer("/", name))))]
    for stem in stems:
        if stem in by_name:
            return by_name[stem]
    value = by_value.get(re.sub(r"_nchwc$", "", name)) or next(
        (by_value[out.name] for out in node.outputs if out.name in by_value), None
    )
    # A Reshape or Transpose that the runtime added has the value's name, but is not its source node.
    if value is None or (node.op_type in _PRESERVING and node.op_type != value.op_type):
        return None
    return value


def _fused_neighbors(node: ir.Node, claimed: set[str], *, forward: bool) -> list[ir.Node]:
    """Source nodes (bias, activation) that were fused into `node`: those after it, or those before."""
    path: list[ir.Node] = []
    epilogue = _EPILOGUE | _RESCALING if node.op_type.endswith("Integer") else _EPILOGUE
    while True:
        step = _only_consumer(node) if forward else _first_producer(node)
        if step is None or name_of(step) in claimed or step.op_type in _QDQ:
            return path
        if forward and step.op_type not in epilogue:
            return path
        claimed.add(name_of(step))
        path.insert(len(path) if forward else 0, step)
        if not forward and _WEIGHTED.search(step.op_type):
            return path
        node = step


def _only_consumer(node: ir.Node) -> ir.Node | None:
    users = list(node.outputs[0].uses()) if len(node.outputs) == 1 else []
    return users[0].node if len(users) == 1 else None


def _first_producer(node: ir.Node) -> ir.Node | None:
    return next((value.producer() for value in node.inputs if value is not None and value.producer()), None)
