"""Model in a runtime's form, and its metadata without weights."""

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

# A protobuf message cannot exceed 2 GiB; the rest is for the graph itself and for the copy in the making.
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
    """Raises ModelError without a regular, readable file.

    A device, a pipe or a directory is none.

    Neither runtime opens a file whose name is not UTF-8.
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
    """Whether the bytes of its name are text."""
    return os.fsencode(path).decode(errors="ignore").encode() == os.fsencode(path)


@contextmanager
def loadable(model: ModelSource) -> Iterator[Loadable]:
    """`model` as a path or as bytes, for as long as the context lasts.

    A graph in memory that is too large for one message, or whose weights lie in files, goes through a temporary file.
    """
    if isinstance(model, (str, Path)):
        require_model_file(Path(model))
        yield Path(model)
    elif isinstance(model, bytes):
        yield model
    elif _fits_one_message(model):
        yield to_proto(model).SerializeToString()
    else:
        # Windows keeps the weights mapped and refuses to delete them.
        with tempfile.TemporaryDirectory(prefix="tinyint-", ignore_cleanup_errors=True) as directory:
            path = Path(directory) / "model.onnx"
            ir.save(model, path, external_data="model.data")
            yield path


def weights_apart(model: ir.Model) -> tuple[bytes, dict[str, Array]]:
    """Message of a graph without large weights, and those by name.

    Those that are in memory.
    """
    copy = model.clone()
    weights: dict[str, Array] = {}
    for name, value in copy.graph.initializers.items():
        tensor = value.const_value
        # ONNX Runtime drops what nothing reads before it looks for weights, and then misses it.
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
    """`model` as a graph, weights in files left there.

    Raises ModelError if it cannot be read.
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
    """The graph of `model`, weights in files left there."""
    return whole(model).graph


def _fits_one_message(model: ir.Model) -> bool:
    tensors = [v.const_value for v in model.graph.initializers.values() if v.const_value is not None]
    if any(isinstance(t, ir.ExternalTensor) for t in tensors):
        return False
    return sum(t.nbytes for t in tensors) < _LARGEST_MESSAGE


def metadata(model: ModelSource) -> dict[str, str]:
    """Metadata of `model`, weights skipped.

    Empty for any other file than ONNX.
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
        return {}  # the runtime says what is wrong with the file


def _scan(file: BinaryIO, size: int) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        for field, length in _fields(file, size):
            if field == _METADATA_PROPS:
                entry = io.BytesIO(file.read(length))
                parts = {number: entry.read(n).decode() for number, n in _fields(entry, length)}
                found[parts.get(_KEY, "")] = parts.get(_VALUE, "")
    except (EOFError, ValueError):
        return {}
    return found


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """(field number, length) of each length-delimited field, the file standing at its content.

    Raises ValueError for what is not a protobuf message, EOFError for a truncated one.
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
    """Label of `model` in messages: its path, or its graph's name."""
    if isinstance(model, (str, Path)):
        return str(model)
    if isinstance(model, bytes):
        return "the model"
    return f"the model {model.graph.name!r}" if model.graph.name else "the model"
