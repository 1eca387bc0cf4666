"""Reading and writing of ONNX files: completely or not at all.

A model in memory never refers to its file by name: external data are memory-mapped, once per file. So a model can be
saved over its own source.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tinyint.errors import ModelError
from tinyint.files import atomic_write, refusals, written_together
from tinyint.graph.external import tensor_reader
from tinyint.graph.message import read_message
from tinyint.graph.serde import save, to_proto
from tinyint.graph.source import require_model_file

__all__ = [
    "data_files",
    "is_quantized",
    "load_model",
    "model_bytes",
    "model_fingerprint",
    "save_model",
    "weight_bytes",
]

PROTOBUF_LIMIT = 2**31 - 2**24
"""Weights that one protobuf message holds, in bytes: 2 GiB, less room for the structure."""

_DATA_FILES = "tinyint/data_files"
_EXTERNAL_FROM = 256  # bytes; smaller tensors stay in the model file, as readers want shapes at hand
_ONNX_FIRST_BYTE = 0x08  # the key of field 1, ir_version: every ONNX writer begins with it


def load_model(path: str | Path) -> ir.Model:
    """Reads an ONNX file; external data are mapped, not read.

    In the result, nodes are in topological order, constants are dense, and dimensions of 0 or less are open. Raises
    ModelError if the file is missing, not ONNX, truncated, older than opset 7 or breaks a rule of ONNX, or if its
    external data are missing, too short or outside the model's directory.
    """
    path = Path(path)
    require_model_file(path)
    try:
        proto = onnx.load_model(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read '{path}': {error.strerror or error}") from error
    except DecodeError as error:
        raise ModelError(_why_unreadable(path)) from error
    if not proto.HasField("graph") or not proto.graph.node:
        raise ModelError(_why_unreadable(path))
    model = read_message(proto, f"'{path}'")
    maps: dict[Path, np.memmap] = {}
    _replace_tensors(model, tensor_reader(path, maps))
    model.meta[_DATA_FILES] = tuple(maps)
    return model


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        first = file.read(1)
    if not first:
        return f"'{path}' is empty; expected an ONNX model"
    if first[0] != _ONNX_FIRST_BYTE:
        return f"'{path}' is not an ONNX model"
    return f"'{path}' is not a complete ONNX model: it is truncated or damaged; copy or export it again"


def data_files(model: ir.Model) -> tuple[Path, ...]:
    """Files of external data that `load_model` mapped."""
    paths: tuple[Path, ...] = model.meta.get(_DATA_FILES, ())
    return paths


def _replace_tensors(model: ir.Model, change: Callable[[ir.TensorProtocol], ir.TensorProtocol]) -> None:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = change(value.const_value)
    for node in _all_nodes(model):
        for attribute in list(node.attributes.values()):
            if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                node.attributes[attribute.name] = ir.AttrTensor(attribute.name, change(attribute.as_tensor()))


def _all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def _all_tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
    for node in _all_nodes(model):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                yield attribute.as_tensor()


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers and tensor attributes, also in subgraphs and functions."""
    return sum(tensor.nbytes for tensor in _all_tensors(model))


def is_quantized(model: ir.Model) -> bool:
    """Whether any operator is a quantized one: Q/DQ, QLinear…, …Integer, MatMulNBits."""
    return any(_is_quantized_operator(node.op_type) for node in _all_nodes(model))


def _is_quantized_operator(op_type: str) -> bool:
    return (
        op_type
        in {
            "QuantizeLinear",
            "DequantizeLinear",
            "DynamicQuantizeLinear",
            "MatMulNBits",
            "QGemm",
            "QAttention",
        }
        or op_type.startswith(("QLinear", "DynamicQuantize", "MatMulInteger"))
        or op_type.endswith("Integer")
    )


def model_bytes(model: ir.Model) -> bytes | None:
    """Model as one ONNX message with its weights; None beyond protobuf's 2 GiB."""
    if weight_bytes(model) > PROTOBUF_LIMIT:
        return None
    if any(isinstance(tensor, ir.ExternalTensor) for tensor in _all_tensors(model)):
        model = model.clone()
        _replace_tensors(model, lambda t: ir.Tensor(t.numpy(), dtype=t.dtype, name=t.name))
    return bytes(to_proto(model).SerializeToString())


def save_model(model: ir.Model, path: str | Path, *, external: bool = False) -> None:
    """Writes the model to `path`.

    With `external`, or beyond 2 GiB, the weights go to `path`.data beside it. Afterwards either all files are new or
    none has changed. Raises OutputError if a file cannot be written.
    """
    path = Path(path)
    serialized = None if external else model_bytes(model)
    if serialized is not None:
        with atomic_write(path) as temporary:
            temporary.write_bytes(serialized)
        return
    with written_together(path) as scratch, refusals(path):
        target = scratch / path.resolve().name
        save(model, target, f"{target.name}.data", _EXTERNAL_FROM)


def model_fingerprint(model: ir.Model) -> str:
    """SHA-256 (hex) of operators, attributes, tensor names, types, shapes and weight bits.

    Independent of the file's path, inline or external storage, node names, doc strings and metadata.
    """
    digest = hashlib.sha256()
    _hash_graph(model.graph, digest.update)
    for identifier in sorted(model.functions):
        function = model.functions[identifier]
        digest.update(repr(("function", identifier)).encode())
        digest.update(repr([value.name for value in (*function.inputs, *function.outputs)]).encode())
        _hash_nodes(function, digest.update)
    digest.update(repr(sorted(model.opset_imports.items())).encode())
    return digest.hexdigest()


def _hash_graph(graph: ir.Graph, add: Callable[[bytes], None]) -> None:
    for values in (graph.inputs, graph.outputs):
        add(repr([(value.name, str(value.dtype), _dims(value)) for value in values]).encode())
    for name, value in sorted(graph.initializers.items()):
        add(repr(("initializer", name)).encode())
        if value.const_value is not None:
            _hash_tensor(value.const_value, add)
    _hash_nodes(graph, add)


def _dims(value: ir.Value) -> list[int | str] | None:
    return None if value.shape is None else [d if isinstance(d, int) else str(d) for d in value.shape]


def _hash_nodes(graph: ir.Graph | ir.Function, add: Callable[[bytes], None]) -> None:
    for node in graph:
        inputs = [None if value is None else value.name for value in node.inputs]
        add(repr((node.op_identifier(), inputs, [value.name for value in node.outputs])).encode())
        for name, attribute in sorted(node.attributes.items()):
            add(repr((name, str(attribute.type), attribute.ref_attr_name)).encode())
            _hash_value(attribute, add)


def _hash_value(attribute: ir.Attr, add: Callable[[bytes], None]) -> None:
    attribute_type = None if attribute.is_ref() else attribute.type
    if attribute_type == ir.AttributeType.TENSOR:
        _hash_tensor(attribute.as_tensor(), add)
    elif attribute_type == ir.AttributeType.GRAPH:
        _hash_graph(attribute.as_graph(), add)
    elif attribute_type == ir.AttributeType.GRAPHS:
        for graph in attribute.as_graphs():
            _hash_graph(graph, add)
    else:
        add(repr(attribute.value).encode())


def _hash_tensor(tensor: ir.TensorProtocol, add: Callable[[bytes], None]) -> None:
    add(repr((str(tensor.dtype), tuple(tensor.shape.numpy()), math.prod(tensor.shape.numpy()))).encode())
    if tensor.dtype == ir.DataType.STRING:
        add(repr(tensor.numpy().tolist()).encode())
    else:
        add(tensor.tobytes())
