"""Conversion between ONNX messages and graphs, with map types (ai.onnx.ml).

onnx_ir does not have these.

Such a type waits in the value's `meta` until the graph is written again; in the graph, the value has no type.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

__all__ = ["from_proto", "load", "save", "to_proto"]

_TYPE = "tinyint/type"


def from_proto(proto: onnx.ModelProto) -> ir.Model:
    """Graph of a message; external data are sought in the working directory.

    Raises what onnx_ir does.
    """
    types = dict(_maps(proto.graph))
    if not types:
        return ir.from_proto(proto)
    plain = onnx.ModelProto()
    plain.CopyFrom(proto)
    for info in _infos(plain.graph):
        if info.name in types:
            info.ClearField("type")
    model = ir.from_proto(plain)
    for value in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs)):
        if value.name in types:
            value.meta[_TYPE] = types[value.name]
    return model


def to_proto(model: ir.Model) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    _restore_types(proto, model)
    return proto


def save(model: ir.Model, path: Path, data: str, threshold: int) -> None:
    """Writes the graph to `path`, and tensors of `threshold` bytes to `data`.

    The file `data` is beside it; tensors of `threshold` bytes or more go there.
    """
    ir.save(model, path, external_data=data, size_threshold_bytes=threshold)
    if any(_TYPE in value.meta for value in model.graph.outputs):
        proto = onnx.load_model(path, format="protobuf", load_external_data=False)
        _restore_types(proto, model)
        path.write_bytes(proto.SerializeToString())


def _restore_types(proto: onnx.ModelProto, model: ir.Model) -> None:
    """Restores the graph's types on a message's untyped outputs."""
    for info, value in zip(proto.graph.output, model.graph.outputs, strict=True):
        if _TYPE in value.meta:
            info.type.CopyFrom(value.meta[_TYPE])


def load(path: Path | str) -> ir.Model:
    """The graph in a file, weights in other files left there."""
    model = from_proto(onnx.load_model(path, format="protobuf", load_external_data=False))
    ir.external_data.set_base_dir(model.graph, Path(path).parent)
    return model


def _maps(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TypeProto]]:
    for info in _infos(graph):
        if _is_of_maps(info.type):
            kept = onnx.TypeProto()
            kept.CopyFrom(info.type)
            yield info.name, kept


def _infos(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from (*graph.input, *graph.value_info, *graph.output)


def _is_of_maps(kind: onnx.TypeProto) -> bool:
    if kind.HasField("sequence_type"):
        return _is_of_maps(kind.sequence_type.elem_type)
    if kind.HasField("optional_type"):
        return _is_of_maps(kind.optional_type.elem_type)
    return bool(kind.HasField("map_type"))
