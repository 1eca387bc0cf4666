"""Seeded changes to good input: bytes, trees of lists and mappings, and the fields of ONNX messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx

__all__ = ["changed_fields", "damaged", "some", "wrong"]

Random: TypeAlias = np.random.Generator
ODD: tuple[Any, ...] = (
    None, "", "x" * 400, -1, 0, 1 << 70, 1e400, float("nan"), True, [], {}, [[]], {"a": {"b": None}}, "\0", "é\ud800",
    ["conv1", 3], "2026-11-26", "!!python/object:os.system",
)  # fmt: skip


def some(rng: Random, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def damaged(rng: Random, data: bytes) -> bytes:
    """Bytes changed, left out, put in, cut off, or a part twice."""
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(raw) or 1))
        width = int(rng.integers(1, 9))
        match int(rng.integers(5)):
            case 0:
                raw[at : at + 1] = rng.bytes(1)
            case 1:
                del raw[at : at + width]
            case 2:
                raw[at:at] = rng.bytes(width)
            case 3:
                del raw[at:]
            case 4:
                raw[at:at] = raw[at // 2 : at]
    return bytes(raw)


def wrong(rng: Random, tree: Any) -> Any:
    """One value of a tree of lists and mappings, or one key, replaced."""
    if isinstance(tree, dict) and tree and rng.random() < 0.8:
        key = some(rng, list(tree))
        if rng.random() < 0.15:
            return {(some(rng, ODD[:9]) if k == key else k): v for k, v in tree.items()}
        return {k: wrong(rng, v) if k == key else v for k, v in tree.items()}
    if isinstance(tree, list) and tree and rng.random() < 0.6:
        at = int(rng.integers(len(tree)))
        return [wrong(rng, v) if i == at else v for i, v in enumerate(tree)]
    return some(rng, ODD)


def changed_fields(rng: Random, model: onnx.ModelProto) -> bytes:
    """A model some of whose fields say something else."""
    for _ in range(int(rng.integers(1, 3))):
        some(rng, _FIELD_CHANGES)(rng, model.graph, model)
    return model.SerializeToString()


def _lose(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    field = some(rng, [graph.node, graph.input, graph.output, graph.initializer])
    if field:
        del field[int(rng.integers(len(field)))]


def _double(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    field = some(rng, [graph.node, graph.input, graph.output, graph.initializer])
    if field:
        field.append(some(rng, field))


def _turn(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    nodes = list(graph.node)
    order = rng.permutation(len(nodes))
    del graph.node[:]
    graph.node.extend(nodes[i] for i in order)


def _connect(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    names = [name for node in graph.node for name in (*node.input, *node.output)] or ["x"]
    node = some(rng, graph.node) if graph.node else None
    if node is None:
        return
    field = node.input if rng.random() < 0.7 else node.output
    match int(rng.integers(3)):
        case 0 if field:
            field[int(rng.integers(len(field)))] = some(rng, [*names, "", "nowhere"])
        case 1 if field:
            del field[int(rng.integers(len(field)))]
        case _:
            field.append(some(rng, names))


def _rename(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    if graph.node:
        node = some(rng, graph.node)
        node.op_type = some(
            rng, ["Conv", "MatMul", "DeformConv", "QuantizeLinear", "Nothing", "", "If", "Resize", "Constant"]
        )
        node.domain = some(rng, ["", "", "com.microsoft", "my.own"])


def _attribute(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    with_attributes = [node for node in graph.node if node.attribute]
    if with_attributes:
        attribute = some(rng, some(rng, with_attributes).attribute)
        match int(rng.integers(4)):
            case 0:
                attribute.type = int(rng.integers(0, 15))
            case 1 if attribute.ints:
                attribute.ints[0] = some(rng, [0, -1, 1 << 40, 7])
            case 2:
                attribute.name = some(rng, ["", "pads", "group", "axis"])
            case _:
                attribute.i = some(rng, [0, -5, 1 << 40])


def _tensor(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    if graph.initializer:
        tensor = some(rng, graph.initializer)
        match int(rng.integers(4)):
            case 0 if tensor.dims:
                tensor.dims[0] = some(rng, [0, -1, 1 << 40, 3])
            case 1:
                tensor.data_type = int(rng.integers(0, 24))
            case 2:
                tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]
            case _:
                tensor.name = some(rng, ["", "x", "é\n", "n" * 400])


def _shape(rng: Random, graph: onnx.GraphProto, _model: onnx.ModelProto) -> None:
    values = [*graph.input, *graph.output]
    if values:
        kind = some(rng, values).type.tensor_type
        match int(rng.integers(3)):
            case 0 if kind.shape.dim:
                some(rng, kind.shape.dim).dim_value = some(rng, [0, -1, 5, 1 << 40])
            case 1:
                kind.ClearField("shape")
            case _:
                kind.elem_type = int(rng.integers(0, 24))


def _version(rng: Random, _graph: onnx.GraphProto, model: onnx.ModelProto) -> None:
    match int(rng.integers(4)):
        case 0:
            model.opset_import[0].version = some(rng, [0, 1, 6, 99, -3, 1 << 40])
        case 1:
            model.ir_version = some(rng, [0, 1, 99, -3])
        case 2:
            del model.opset_import[:]
        case _:
            model.opset_import.add(domain="", version=13)


_FIELD_CHANGES: tuple[Callable[[Random, onnx.GraphProto, onnx.ModelProto], None], ...] = (
    _lose, _double, _turn, _connect, _connect, _rename, _attribute, _tensor, _tensor, _shape, _version,
)  # fmt: skip
