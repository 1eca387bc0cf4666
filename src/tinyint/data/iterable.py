"""Samples from Python iterables: arrays, tensors, dicts or (inputs, label) pairs, in any batches."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyint.data.rows import LABEL_NAMES, split_batch
from tinyint.data.sample import Sample
from tinyint.errors import DataError, nearest
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec


@dataclass(frozen=True, kw_only=True)
class IterableSource:
    """Items of `open()`, which is called for every pass.

    An item is one of

    * an array (NumPy, torch or anything NumPy can read): the model's only input
    * a mapping from input names to arrays; `labels`, `label` or `y` is the label unless the model has such an input
    * a tuple or list of arrays: the inputs in the model's order, and the label if there is one more
    * a pair (mapping or tuple of inputs, label)
    * a `Sample`
    """

    name: str
    open: Callable[[], Iterable[Any]]
    specs: Sequence[TensorSpec]
    notices: list[str] = field(default_factory=list)
    size: None = None
    fingerprint: None = None
    preprocessing: None = None
    label_kind: None = None
    classes: None = None

    def read(self, start: int, stop: int | None) -> Generator[Sample | DataError]:
        yield from itertools.islice(self._samples(), start, stop)

    def _samples(self) -> Iterator[Sample]:
        for number, item in enumerate(self.open()):
            where = f"{self.name}[{number}]"
            if isinstance(item, Sample):
                yield item
                continue
            arrays, label = self._parse(item, where)
            yield from split_batch(arrays, label, self.specs, where)

    def _parse(self, item: Any, where: str) -> tuple[dict[str, Array], Array | None]:
        inputs, label = _separate_label(item, len(self.specs), where)
        if isinstance(inputs, Mapping):
            return self._by_name(inputs, label, where)
        parts = list(inputs) if _is_parts(inputs) else [inputs]
        if len(parts) != len(self.specs):
            names = ", ".join(repr(spec.name) for spec in self.specs)
            raise DataError(
                f"{where} holds {len(parts)} arrays; the model has {len(self.specs)} inputs ({names})"
            )
        pairs = zip(self.specs, parts, strict=True)
        arrays = {spec.name: to_array(part, f"{where}, input {spec.name!r}") for spec, part in pairs}
        return arrays, None if label is None else to_array(label, f"{where}, label")

    def _by_name(
        self, item: Mapping[Any, Any], label: Any, where: str
    ) -> tuple[dict[str, Array], Array | None]:
        names = {spec.name for spec in self.specs}
        if missing := sorted(names - set(item)):
            keys = [str(key) for key in item]
            raise DataError(f"{where} has no input {missing[0]!r}: {nearest(missing[0], keys)}")
        label_names = [key for key in LABEL_NAMES if key in item and key not in names]
        if label is None and label_names:
            label = item[label_names[0]]
        if others := sorted({str(key) for key in item} - names - set(label_names)):
            message = (
                f"entries of {self.name} that are no inputs of the model are left out: {', '.join(others)}"
            )
            if message not in self.notices:
                self.notices.append(message)
        arrays = {name: to_array(item[name], f"{where}, input {name!r}") for name in names}
        return arrays, None if label is None else to_array(label, f"{where}, label")


def reopener(data: Any) -> Callable[[], Iterable[Any]]:
    """Function that starts a new pass over an iterable, sequence or function.

    Raises DataError for an iterator or generator. It can be read only once, but calibration, proof and measurement each
    read the data, and a second reader would silently get other samples.
    """
    if isinstance(data, Iterator):
        raise DataError(
            f"the data are a {type(data).__name__}, which can be read only once; give a list, or the function "
            "that makes it (data=make_samples instead of data=make_samples())"
        )
    if isinstance(data, Iterable):
        return lambda: data
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):  # such as a map-style torch Dataset
        return lambda: (data[i] for i in range(len(data)))
    if callable(data):
        return lambda: as_iterable(data())
    raise DataError(
        f"the data are of type {type(data).__name__}; expected an iterable of samples, a file or a folder"
    )


def as_iterable(result: Any) -> Iterable[Any]:
    """Result of a data function; raises DataError unless it is iterable."""
    if not isinstance(result, Iterable):
        raise DataError(
            f"the data function returned {type(result).__name__}; expected an iterable of samples"
        )
    return result


def _separate_label(item: Any, count: int, where: str) -> tuple[Any, Any]:
    """(inputs, label or None) of an item for a model with `count` inputs."""
    if not _is_parts(item):
        return item, None
    if len(item) == 2 and (isinstance(item[0], Mapping) or _is_parts(item[0])):
        return item[0], item[1]
    if len(item) == count:
        return item, None
    if len(item) == count + 1:
        return item[:-1], item[-1]
    raise DataError(
        f"{where} holds {len(item)} arrays; expected {count} (an array per input), or {count + 1} with the label"
    )


def _is_parts(value: Any) -> bool:
    """Whether a tuple or list holds several arrays, not one of nested numbers."""
    if isinstance(value, tuple):
        return any(not isinstance(part, numbers.Number) for part in value)
    return isinstance(value, list) and any(
        hasattr(part, "__array__") or isinstance(part, Mapping | tuple) for part in value
    )


def to_array(value: Any, where: str) -> Array:
    """NumPy array of an array, a tensor (with gradients or without) or nested numbers.

    Raises DataError.
    """
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        array = value.numpy() if callable(getattr(value, "numpy", None)) else np.asarray(value)
    except Exception as error:  # a foreign type: ragged lists, a tensor type that NumPy lacks, …
        raise DataError(f"{where}: cannot turn {type(value).__name__} into an array: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind in "OSUMm":
        raise DataError(f"{where}: {type(value).__name__} is no array of numbers")
    return array
