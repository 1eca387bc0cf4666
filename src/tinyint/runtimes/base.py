"""Interface of runtimes: open a model, run it, report the nodes that run.

A further runtime is one file with an object of type `Runtime`, and one line in `tinyint.runtimes`.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinyint.errors import DataError, DependencyError, nearest
from tinyint.graph.source import ModelSource

__all__ = [
    "Array",
    "Executed",
    "Feeds",
    "LayerTime",
    "Precision",
    "Provider",
    "Runtime",
    "Session",
    "TensorSpec",
    "check_feeds",
    "check_threads",
    "installed",
    "shape_fits",
    "with_batch",
]

Array: TypeAlias = NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Provider: TypeAlias = Literal["cpu", "cuda"]


_MOST_THREADS, _PER_PROCESSOR = 64, 4


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Input of a model; an open dimension is None."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def admits(self, array: Array) -> bool:
        """Whether `array` has the type, the rank and the fixed dimensions."""
        return array.dtype == self.dtype and shape_fits(array.shape, self.shape)

    def is_in(self, feeds: Feeds) -> bool:
        """Whether `feeds` has an array for this input that it admits."""
        array = feeds.get(self.name)
        return type(array) is np.ndarray and array.dtype == self.dtype and _fits(array.shape, self.shape)

    def __str__(self) -> str:
        return _describe(self.dtype, self.shape)


@dataclass(frozen=True, kw_only=True)
class Executed:
    """Node of a runtime's own graph of the model.

    * `name`: the source node (the first one, if several were fused), else its own name
    * `op`: operator type in the runtime
    * `int8`: whether its kernel works on 8-bit integers
    * `detail`: further information of the runtime about the kernel
    * `sources`: names of all source nodes, as far as known; empty if the runtime added the node
    """

    name: str
    op: str
    int8: bool
    detail: str
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """Median time that a node of a runtime's own graph takes in one call.

    * `name`, `op`, `detail`, `sources`: as of `Executed`
    * `precision`: "int8", else the type of its values
    """

    name: str
    op: str
    precision: str
    detail: str
    ms: float
    sources: tuple[str, ...] = ()


class Session(Protocol):
    """Loaded model, which several threads may run at once."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def precision(self) -> Precision:
        """Type in which the runtime computes unquantized values."""
        ...

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Runs the model: outputs by name, owned by the caller.

        A sequence is a list, a map a dict. Raises DataError if the feeds do not fit.
        """
        ...

    def run_transient(self, feeds: Feeds) -> dict[str, Array]:
        """Runs the model at full speed, into arrays that the thread's next call overwrites."""
        ...


class Runtime(Protocol):
    """Runtime, which opens models.

    `open` and `executed` raise ModelError for a model that it cannot load, DependencyError if it is not installed.
    """

    @property
    def name(self) -> str: ...

    @property
    def safe(self) -> bool:
        """Whether no model is known with which it ends the process."""
        ...

    def available(self) -> str | None:
        """Version that runs here, or None."""
        ...

    def most_threads(self) -> int | None:
        """Threads that a call uses at most; None without a limit."""
        ...

    def absent(self) -> DependencyError:
        """Error for a runtime that is not installed, with the way to install it."""
        ...

    def open(
        self,
        model: ModelSource,
        *,
        threads: int | None = None,
        optimize: bool = True,
        precision: Precision | None = None,
        batch: int | None = None,
    ) -> Session:
        """Loads `model`.

        * `threads`: None leaves the number to the runtime
        * `optimize`: False asks for one kernel per node, in the order and with the arithmetic of the file
        * `precision`: type of unquantized values; None means float32
        * `batch`: size of the open first dimensions, see `with_batch`
        """
        ...

    def executed(self, model: ModelSource) -> list[Executed]:
        """Nodes that the runtime really runs, in its own order, without constants."""
        ...

    def profile(
        self,
        model: ModelSource,
        feeds: Feeds,
        *,
        calls: int,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> list[LayerTime]:
        """Times of the nodes in `calls` runs, which profiling makes slower than others.

        After a first one, in the runtime's own order.
        """
        ...


def shape_fits(shape: Sequence[int], declared: Sequence[int | None]) -> bool:
    """Whether the shape fits a declared one, in which an open dimension is None."""
    return len(declared) == len(shape) and all(
        dim in (None, size) for dim, size in zip(declared, shape, strict=True)
    )


_fits = lru_cache(maxsize=4096)(shape_fits)


def installed(package: str) -> str | None:
    """Version of an installed package, or None; without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_threads(threads: int | None) -> None:
    """Raises DataError for a number of threads below 1, or too large for this machine."""
    most = max(_MOST_THREADS, _PER_PROCESSOR * (os.cpu_count() or 1))
    if threads is not None and not 1 <= threads <= most:
        raise DataError(
            f"{threads} threads: expected 1 to {most}; this machine has {os.cpu_count()} logical processors"
        )


def with_batch(inputs: Sequence[TensorSpec], batch: int | None) -> tuple[TensorSpec, ...]:
    """Inputs whose open first dimensions are `batch`; as they are for None.

    Raises DataError for a batch below 1, and where the model has a fixed one.
    """
    if batch is None:
        return tuple(inputs)
    if batch < 1:
        raise DataError(f"a batch of {batch}: expected 1 or more")
    if not any(spec.shape and spec.shape[0] is None for spec in inputs):
        fixed = ", ".join(f"{spec.name!r} {spec}" for spec in inputs) or "no inputs"
        raise DataError(f"a batch of {batch} for a model whose batch is not open ({fixed}); leave it out")
    return tuple(
        replace(spec, shape=(batch, *spec.shape[1:])) if spec.shape and spec.shape[0] is None else spec
        for spec in inputs
    )


def check_feeds(inputs: Sequence[TensorSpec], feeds: Feeds) -> None:
    """Raises DataError unless `feeds` holds exactly one fitting array for each input."""
    # Each call comes here, with cold caches after the network: 25 µs less than what follows.
    if type(feeds) is dict and len(feeds) == len(inputs) and all(spec.is_in(feeds) for spec in inputs):
        return
    if not isinstance(feeds, Mapping):
        raise DataError(f"expected a mapping of input names to arrays, got a {type(feeds).__name__}")
    names = [spec.name for spec in inputs]
    for name in feeds:
        if name not in names:
            raise DataError(f"the model has no input {name!r}; {nearest(name, names)}")
    for spec in inputs:
        if spec.name not in feeds:
            fed = ", ".join(feeds) or "nothing"
            raise DataError(f"input {spec.name!r} is missing: expected {spec}, got {fed}")
        array = feeds[spec.name]
        if not isinstance(array, np.ndarray | np.generic):
            got = f"{type(array).__module__}.{type(array).__qualname__}".removeprefix("builtins.")
            raise DataError(f"input {spec.name!r}: expected a NumPy array of {spec}, got a {got}")
        if not spec.admits(array):
            description = _describe(array.dtype, array.shape)
            raise DataError(f"input {spec.name!r}: expected {spec}, got {description}")


def _describe(dtype: np.dtype[Any], shape: Sequence[int | None]) -> str:
    return f"{dtype} [{', '.join('?' if dim is None else str(dim) for dim in shape)}]"
