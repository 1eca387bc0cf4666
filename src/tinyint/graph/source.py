"""Models as a path, bytes or a graph, for runtimes; and their metadata alone."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tinyint.errors import ModelError
from tinyint.graph.serde import from_proto, load, to_proto
from tinyint.numbers.numerics import Array

__all__ = [
    "ModelSource",
    "graph_of",
    "is_utf8",
    "loadable",
    "metadata",
    "model_label",
    "require_model_file",
    "weights_apart",
    "whole",
]

ModelSource: TypeAlias = Path | str | bytes | ir.Model
Loadable: TypeAlias = Path | bytes

# A protobuf message cannot exceed 2 GiB; half of it is left for the graph and for the copy while it is built.
_LARGEST_MESSAGE = 2**30
_LARGE = 4096  # bytes; shapes and axes stay in the message, where graph optimization reads them
_PLAIN = (
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
    ir.DataType.INT8,
    ir.DataType.UINT8,
    ir.DataType.INT32,
    ir.DataType.INT64,
)
# Field numbers of ModelProto and StringStringEntryProto (onnx.proto), and the wire types of protobuf.
_METADATA_PROPS = 14
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def require_model_file(path: Path) -> None:
    """Raises ModelError unless `path` is a regular, readable file.

    Its name must be UTF-8: neither runtime opens another.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"no such model file: '{path}'") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read '{path}': {getattr(error, 'strerror', None) or error}") from None
    if not is_utf8(path):
        raise ModelError(f"the name of {str(path)!r} is not UTF-8, so that no runtime opens it; rename it")
    if stat.S_ISDIR(mode):
        raise ModelError(f"'{path}' is a directory; give the .onnx file in it")
    if not stat.S_ISREG(mode):
        raise ModelError(f"'{path}' is a device or pipe, not a file; give an .onnx file")


def is_utf8(path: Path) -> bool:
    """Whether the file's name is valid UTF-8."""
    return os.fsencode(path).decode(errors="ignore").encode() == os.fsencode(path)


@contextmanager
def loadable(model: ModelSource) -> Iterator[Loadable]:
    """`model` as a path or bytes, valid within the context.

    A graph that is too large for one message, or that has external weights, goes through a temporary file.
    """
    if isinstance(model, (str, Path)):
        require_model_file(Path(model))
        yield Path(model)
    elif isinstance(model, bytes):
        yield model
    elif _fits_one_message(model):
        yield to_proto(model).SerializeToString()
    else:
        # Windows refuses to delete the weights while they are mapped.
        with tempfile.TemporaryDirectory(prefix="tinyint-", ignore_cleanup_errors=True) as directory:
            path = Path(directory) / "model.onnx"
            ir.save(model, path, external_data="model.data")
            yield path


def weights_apart(model: ir.Model) -> tuple[bytes, dict[str, Array]]:
    """Message of a graph without its large weights, and these by name.

    External weights are read into the message.
    """
    copy = model.clone()
    weights: dict[str, Array] = {}
    for name, value in copy.graph.initializers.items():
        tensor = value.const_value
        # ONNX Runtime drops unused initializers first, and then fails on a weight that it does not find.
        apart = (
            tensor is not None and tensor.nbytes >= _LARGE and tensor.dtype in _PLAIN and bool(value.uses())
        )
        if tensor is None or not apart:
            if isinstance(tensor, ir.ExternalTensor):
                value.const_value = ir.tensor(tensor.numpy(), name=name)
            continue
        weights[name] = np.ascontiguousarray(tensor.numpy())
        value.const_value = ir.ExternalTensor(
            "memory", 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name
        )
    return to_proto(copy).SerializeToString(), weights


def whole(model: ModelSource) -> ir.Model:
    """`model` as a graph; external weights are not read.

    Raises ModelError if it is unreadable.
    """
    if isinstance(model, ir.Model):
        return model
    if not isinstance(model, bytes):
        require_model_file(Path(model))
    try:
        return from_proto(onnx.load_model_from_string(model)) if isinstance(model, bytes) else load(model)
    except (DecodeError, ir.serde.SerdeError, OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{model_label(model)} is no complete ONNX model: it is truncated or damaged"
        ) from error


def graph_of(model: ModelSource) -> ir.Graph:
    """Main graph of `model`; external weights are not read."""
    return whole(model).graph


def _fits_one_message(model: ir.Model) -> bool:
    tensors = [v.const_value for v in model.graph.initializers.values() if v.const_value is not None]
    if any(isinstance(t, ir.ExternalTensor) for t in tensors):
        return False
    return sum(t.nbytes for t in tensors) < _LARGEST_MESSAGE


def metadata(model: ModelSource) -> dict[str, str]:
    """Metadata of `model`, read without its weights.

    Empty for a file that is not ONNX.
    """
    if isinstance(model, ir.Model):
        return dict(model.metadata_props)
    if isinstance(model, bytes):
        return _scan(io.BytesIO(model), len(model))
    if not os.path.isfile(model):
        return {}
    try:
        with Path(model).open("rb") as file:
            return _scan(file, os.fstat(file.fileno()).st_size)
    except OSError:
        return {}  # the runtime will report the fault when it opens the file


def _scan(file: BinaryIO, size: int) -> dict[str, str]:
    entries: dict[str, str] = {}
    try:
        for field, length in _fields(file, size):
            if field == _METADATA_PROPS:
                entry = io.BytesIO(file.read(length))
                parts = {number: entry.read(n).decode() for number, n in _fields(entry, length)}
                entries[parts.get(_KEY, "")] = parts.get(_VALUE, "")
    except (EOFError, ValueError):
        return {}
    return entries


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """(field number, length) of each length-delimited field; the file is then at its content.

    Raises ValueError if the content is not a protobuf message, EOFError if it is truncated.
    """
    while file.tell() < size:
        tag = _varint(file)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == _BYTES:
            length = _varint(file)
            end = file.tell() + length
            if end > size:
                raise EOFError
            yield field, length
            file.seek(end)
        elif wire_type == _VARINT:
            _varint(file)
        elif wire_type in (_FIXED64, _FIXED32):
            file.seek(8 if wire_type == _FIXED64 else 4, os.SEEK_CUR)
        else:
            raise ValueError(f"wire type {wire_type}")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a varint of more than ten bytes")


def model_label(model: ModelSource) -> str:
    """Name of `model` for messages: its path, or its graph's name."""
    if isinstance(model, (str, Path)):
        return str(model)
    if isinstance(model, bytes):
        return "the model"
    return f"the model {model.graph.name!r}" if model.graph.name else "the model"
