"""Arrays in memory, .npy and .npz files, read in blocks along axis 0.

A file, compressed or not, is streamed: only the current block is in memory. (NPY format: NumPy's NEP 1.)
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np

from tinyint.errors import DataError
from tinyint.numbers.numerics import Array

LARGEST = 2**30
"""Most bytes that are read at once: a compressed file of a few megabytes can unpack to more than a machine has."""

_HEADER = 2**16  # bytes; NumPy writes some hundreds
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, LZMAError)


class Table(Protocol):
    """Array that can be read in blocks of rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def blocks(self, rows: int, start: int, stop: int) -> Iterator[Array]:
        """Blocks start, …, stop - 1 of `rows` rows each; the caller owns them."""
        ...


@dataclass(frozen=True, eq=False)
class MemoryTable:
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def blocks(self, rows: int, start: int, stop: int) -> Iterator[Array]:
        for i in range(start, stop):
            yield np.array(self.array[i * rows : (i + 1) * rows], order="C")


@dataclass(frozen=True, eq=False)
class LoadedTable:
    """Array that can only be read as a whole, and then stays in memory."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], Array]

    @cached_property
    def whole(self) -> MemoryTable:
        try:
            return MemoryTable(self.load())
        except _UNREADABLE as error:
            raise DataError(f"cannot read {self.name}: {error}") from None

    def blocks(self, rows: int, start: int, stop: int) -> Iterator[Array]:
        return self.whole.blocks(rows, start, stop)


@dataclass(frozen=True)
class StreamTable:
    """Array in C order in the stream of `open`; its data begin at `offset`."""

    name: str
    open: Callable[[], IO[bytes]]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def blocks(self, rows: int, start: int, stop: int) -> Iterator[Array]:
        shape = (rows, *self.shape[1:])
        size = self.dtype.itemsize * int(np.prod(shape, dtype=object))
        try:
            with self.open() as stream:
                stream.seek(self.offset + start * size)
                for _ in range(start, stop):
                    data = bytearray(stream.read(size))
                    if len(data) != size:
                        raise EOFError("the file ends too early")
                    yield np.frombuffer(data, self.dtype).reshape(shape)
        except _UNREADABLE as error:
            raise DataError(f"cannot read {self.name}: {error}") from None


def open_npy(path: Path) -> Table:
    """Array of a .npy file.

    Raises DataError if the file is damaged, truncated, or holds Python objects.
    """
    return _open_table(
        str(path), lambda: path.open("rb"), lambda: os.path.getsize(path), lambda: np.load(path, "r")
    )


def open_npz(path: Path) -> dict[str, Table]:
    """Arrays of an .npz file by name. Raises DataError as `open_npy` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
    except Exception as error:  # zipfile raises BadZipFile, struct.error, NotImplementedError, …
        raise DataError(f"cannot read {path} as an .npz file: {error}") from None
    return {member.removesuffix(".npy"): _open_member(path, member, size) for member, size in sizes.items()}


def _open_member(path: Path, member: str, size: int) -> Table:
    key = member.removesuffix(".npy")

    def open_stream() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:  # the stream itself keeps the file open
            return archive.open(member)

    def load() -> Array:
        if size > LARGEST:
            raise ValueError(
                f"it takes {size / 2**30:.1f} GiB and lies columns first, so that it cannot be read in parts: save it "
                "rows first (np.ascontiguousarray)"
            )
        with np.load(path) as arrays:
            return cast(Array, arrays[key])

    return _open_table(f"{path}[{key!r}]", open_stream, lambda: size, load)


def _open_table(
    name: str, open_: Callable[[], IO[bytes]], size: Callable[[], int], load: Callable[[], Array]
) -> Table:
    try:
        with open_() as stream:
            header = io.BytesIO(stream.read(_HEADER))
            shape, fortran, dtype = _read_header(header)
            offset = header.tell()
        if dtype.hasobject:
            raise ValueError("it holds Python objects; save plain numbers")
        if any(n < 0 for n in shape):
            raise ValueError(f"its header gives the shape {shape}")
        needed = offset + dtype.itemsize * int(np.prod(shape, dtype=object))
        if needed > size():
            raise ValueError(f"it is truncated: {size()} bytes instead of {needed}")
        # Fortran order cannot be streamed by rows: such an array is memory-mapped (.npy) or loaded (.npz).
        return (
            LoadedTable(name, shape, dtype, load)
            if fortran and len(shape) > 1
            else StreamTable(name, open_, offset, shape, dtype)
        )
    except Exception as error:  # NumPy's header parser also raises the errors of Python's parser
        raise DataError(f"cannot read {name} as a NumPy array: {error}") from None


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"NPY format {version[0]}.{version[1]} is not supported (1.0 and 2.0 are)")
