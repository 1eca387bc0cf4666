"""Interface of runtimes: open a model, run it, report its execution.

A further runtime is one file with an object of the `Runtime` shape, and one line in `tinyint.runtimes`.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinyint.errors import DataError, DependencyError, nearest
from tinyint.graph.source import ModelSource

if TYPE_CHECKING:
    pass

__all__ = [
    "Array",
    "Executed",
    "Feeds",
    "Precision",
    "Provider",
    "Runtime",
    "Session",
    "TensorSpec",
    "check_feeds",
    "check_threads",
    "installed",
    "shape_fits",
]

Array: TypeAlias = NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Provider: TypeAlias = Literal["cpu", "cuda"]


_MOST_THREADS, _PER_PROCESSOR = 64, 4


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Input of a model; None is an open dimension."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def admits(self, array: Array) -> bool:
        """Whether `array` fits: same type and rank, fixed dimensions as declared."""
        return array.dtype == self.dtype and shape_fits(array.shape, self.shape)

    def __str__(self) -> str:
        return _describe(self.dtype, self.shape)


@dataclass(frozen=True, kw_only=True)
class Executed:
    """One node of a runtime's own graph of the model.

    * `name`: the source node that it stands for (the first one, if several were fused), else its own name
    * `op`: the runtime's own operator type
    * `int8`: whether its kernel works on 8-bit integers
    * `detail`: what else the runtime says about the kernel
    * `sources`: the names of all source nodes that it is known to stand for; empty if the runtime added it
    """

    name: str
    op: str
    int8: bool
    detail: str
    sources: tuple[str, ...]


class Session(Protocol):
    """A model that is loaded and can be run, by several threads at once."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def precision(self) -> Precision:
        """Type in which the runtime computes unquantized values."""
        ...

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Outputs by name, owned by the caller.

        A sequence is a list, a map a dict.

        Raises DataError if the feeds do not fit.
        """
        ...

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        """`run` at full speed, into arrays that the next call overwrites.

        The next call of the same thread.
        """
        ...


class Runtime(Protocol):
    """Opens models.

    Both methods raise ModelError for a model that it cannot load, DependencyError if absent.
    """

    @property
    def name(self) -> str: ...

    def available(self) -> str | None:
        """The version that runs here, or None."""
        ...

    def absent(self) -> DependencyError:
        """Advice where the runtime is missing."""
        ...

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
    ) -> Session:
        """Loads `model`.

        `threads`: None leaves the number to the runtime. `optimize=False` asks for one kernel a node, in the order
        and with the arithmetic of the file. `precision` of what is not quantized: None means float32.
        """
        ...

    def executed(self, model: ModelSource) -> list[Executed]:
        """The nodes that the runtime really runs, constants left out, in its own order."""
        ...


def shape_fits(shape: Sequence[int], declared: Sequence[int | None]) -> bool:
    """Whether the shape is a declared one, None being an open dimension."""
    return len(declared) == len(shape) and all(
        want in (None, got) for want, got in zip(declared, shape, strict=True)
    )


def installed(package: str) -> str | None:
    """The version of a package that is installed, or None; without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_threads(threads: int | None) -> None:
    """Raises DataError for a number of threads beyond this machine's."""
    most = max(_MOST_THREADS, _PER_PROCESSOR * (os.cpu_count() or 1))
    if threads is not None and not 1 <= threads <= most:
        raise DataError(
            f"{threads} threads: expected 1 to {most}; this machine has {os.cpu_count()} logical processors"
        )


def check_feeds(inputs: Sequence[TensorSpec], feeds: Feeds) -> None:
    """Raises DataError unless `feeds` holds exactly one fitting array for each input."""
    known = [spec.name for spec in inputs]
    for name in feeds:
        if name not in known:
            raise DataError(f"the model has no input {name!r}; {nearest(name, known)}")
    for spec in inputs:
        if spec.name not in feeds:
            given = ", ".join(feeds) or "nothing"
            raise DataError(f"input {spec.name!r} is missing: expected {spec}, got {given}")
        array = feeds[spec.name]
        if not spec.admits(array):
            seen = _describe(array.dtype, array.shape)
            raise DataError(f"input {spec.name!r}: expected {spec}, got {seen}")


def _describe(dtype: np.dtype[Any], shape: Sequence[int | None]) -> str:
    return f"{dtype} [{', '.join('?' if dim is None else str(dim) for dim in shape)}]"
