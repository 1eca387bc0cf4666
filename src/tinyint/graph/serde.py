"""Conversion between ONNX messages and graphs, with map types (ai.onnx.ml).

onnx_ir has no such types. In the graph, a value of one is untyped, and its `meta` keeps the type until the graph is
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

__all__ = ["from_proto", "load", "save", "to_proto"]

_TYPE = "tinyint/type"


def from_proto(proto: onnx.ModelProto) -> ir.Model:
    """Graph of a message; external data are looked up in the working directory.

    Raises the errors of onnx_ir.
    """
    types = dict(_map_types(proto.graph))
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
    """Writes the graph to `path`, and large tensors to a file beside it.

    Tensors of `threshold` bytes or more go to the file `data`.
    """
    ir.save(model, path, external_data=data, size_threshold_bytes=threshold)
    if any(_TYPE in value.meta for value in model.graph.outputs):
        proto = onnx.load_model(path, format="protobuf", load_external_data=False)
        _restore_types(proto, model)
        path.write_bytes(proto.SerializeToString())


def _restore_types(proto: onnx.ModelProto, model: ir.Model) -> None:
    """Gives untyped outputs of the message the map types that the graph keeps."""
    for info, value in zip(proto.graph.output, model.graph.outputs, strict=True):
        if _TYPE in value.meta:
            info.type.CopyFrom(value.meta[_TYPE])


def load(path: Path | str) -> ir.Model:
    """Graph of a file; external weights are not read."""
    model = from_proto(onnx.load_model(path, format="protobuf", load_external_data=False))
    ir.external_data.set_base_dir(model.graph, Path(path).parent)
    return model


def _map_types(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TypeProto]]:
    for info in _infos(graph):
        if _holds_maps(info.type):
            copy = onnx.TypeProto()
            copy.CopyFrom(info.type)
            yield info.name, copy


def _infos(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from (*graph.input, *graph.value_info, *graph.output)


def _holds_maps(type_: onnx.TypeProto) -> bool:
    """Whether it is a map type, or a sequence or optional of one."""
    if type_.HasField("sequence_type"):
        return _holds_maps(type_.sequence_type.elem_type)
    if type_.HasField("optional_type"):
        return _holds_maps(type_.optional_type.elem_type)
    return bool(type_.HasField("map_type"))
