"""External data of a model: memory-mapped, and only from the model's directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError

__all__ = ["tensor_reader"]


def tensor_reader(
    path: Path, maps: dict[Path, np.memmap]
) -> Callable[[ir.TensorProtocol], ir.TensorProtocol]:
    """Function that loads a tensor of the model at `path`.

    An external tensor becomes a view of its data file; `maps` holds one memory map, and so one open file, per data
    file. The function raises ModelError if the data are missing, too short, of another size than the tensor, or outside
    the model's directory.
    """

    def read(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        if any(dim < 0 for dim in tensor.shape.numpy()):
            raise ModelError(f"tensor '{tensor.name}' of '{path}' has the shape {tensor.shape}; {_AGAIN}")
        return (
            _mapped(tensor, path, maps) if isinstance(tensor, ir.ExternalTensor) else _decoded(tensor, path)
        )

    return read


_AGAIN = "copy or export the model again"


def _decoded(tensor: ir.TensorProtocol, path: Path) -> ir.TensorProtocol:
    """Tensor as an array: frees the message, and finds a wrong size at once."""
    try:
        if tensor.dtype == ir.DataType.STRING:
            tensor.numpy()
            return tensor
        return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    except (ValueError, TypeError) as error:
        raise ModelError(f"tensor '{tensor.name}' of '{path}' is damaged ({error}); {_AGAIN}") from error


def _mapped(tensor: ir.ExternalTensor, path: Path, maps: dict[Path, np.memmap]) -> ir.TensorProtocol:
    file, start = _data_file(tensor, path), tensor.offset or 0
    size, need = file.stat().st_size, start + tensor.nbytes
    if start < 0 or size < need:
        raise ModelError(
            f"external data file '{file}' has {size} bytes, but tensor '{tensor.name}' of '{path}' "
            f"needs {need}: the file is truncated; copy it again"
        )
    if tensor.length is not None and tensor.length != tensor.nbytes:
        raise ModelError(
            f"tensor '{tensor.name}' of '{path}' has {tensor.length} bytes of external data; "
            f"its type and shape need {tensor.nbytes}"
        )
    if tensor.nbytes == 0 or tensor.dtype.bitwidth < 8:
        tensor.base_dir = file.parent
        return ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)
    if file not in maps:
        maps[file] = np.memmap(file, dtype=np.uint8, mode="r")
    raw = maps[file][start:need]
    array = np.asarray(raw).view(tensor.dtype.numpy()).reshape(tensor.shape.numpy())
    return ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)


def _data_file(tensor: ir.ExternalTensor, path: Path) -> Path:
    """Path of the external data file, with links resolved.

    It must lie in the model's directory, or in the directory to which the model's own link leads: in some caches, all
    files are links into one directory.
    """
    location = os.fspath(tensor.location).replace("\0", "\N{SYMBOL FOR NULL}")
    file = Path(os.path.realpath(path.parent / location))
    directories = (Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent)
    leaves = os.path.isabs(location) or Path(os.path.normpath(location)).parts[:1] == ("..",)
    if leaves or not any(file.is_relative_to(directory) for directory in directories):
        raise ModelError(
            f"tensor '{tensor.name}' of '{path}' has its data at '{location}', outside the model's "
            "directory; this is refused: put the data file beside the model"
        )
    if not os.path.isfile(file):
        raise ModelError(
            f"'{path}' keeps tensor '{tensor.name}' in the external data file '{path.parent.resolve() / location}', "
            "which does not exist; copy it beside the model"
        )
    return file
