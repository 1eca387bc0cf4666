"""Opening of the user's data as a checked dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from tinyint.data.arrays import array_source
from tinyint.data.check import check_sample
from tinyint.data.declaration import Declaration
from tinyint.data.iterable import IterableSource, reopener, to_array
from tinyint.data.labels import LabelKind
from tinyint.data.named import named_source
from tinyint.data.sample import Dataset, Sample, Source
from tinyint.data.stored import MemoryTable
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec

OnError: TypeAlias = Literal["stop", "skip"]


@dataclass(frozen=True, kw_only=True)
class CheckedDataset:
    """Samples start, …, stop - 1 of a source, each checked as it is read.

    * `remarks`: sentences for the user, beside those of the source
    * `errors`: reasons for skipped samples, by index
    """

    source: Source
    inputs: Sequence[TensorSpec]
    start: int = 0
    stop: int | None = None
    on_error: OnError = "stop"
    remarks: list[str] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)

    @property
    def len_hint(self) -> int | None:
        if self.source.size is None:
            return None
        return min(self.source.size, self.source.size if self.stop is None else self.stop) - self.start

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint as in `Dataset`; None if samples may be skipped.

        Without one, each run reads the samples, and reports the skipped ones.
        """
        if (source := self.source.fingerprint) is None or self.on_error == "skip":
            return None
        return hashlib.sha256(f"{source}|{self.start}|{self.stop}".encode()).hexdigest()

    @property
    def preprocessing(self) -> Declaration | None:
        return self.source.preprocessing

    @property
    def label_kind(self) -> LabelKind | None:
        return self.source.label_kind

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.source.classes

    @property
    def notices(self) -> tuple[str, ...]:
        skipped = (describe_skipped(self.skipped),) if self.skipped else ()
        return (*self.source.notices, *self.remarks, *skipped)

    @property
    def skipped(self) -> tuple[str, ...]:
        return tuple(self.errors[index] for index in sorted(self.errors))

    def __iter__(self) -> Iterator[Sample]:
        empty = True
        with closing(self.source.read(self.start, self.stop)) as samples:
            for index, sample in enumerate(samples):
                try:
                    checked = self._checked(sample)
                except DataError as error:
                    if self.on_error == "stop":
                        raise
                    self.errors[index] = str(error)
                    continue
                empty = False
                yield checked
        if empty:
            after = f" after the first {self.start}" if self.start else ""
            reason = f" that can be read: {describe_skipped(self.skipped)}" if self.skipped else ""
            raise DataError(f"{self.source.name} holds no samples{after}{reason}")

    def _checked(self, sample: Sample | DataError) -> Sample:
        if isinstance(sample, DataError):
            raise sample
        return check_sample(sample, self.inputs, self._tell)

    def _tell(self, message: str) -> None:
        if message not in self.remarks:
            self.remarks.append(message)


def open_data(
    spec: str | Path | Iterable[Any] | Any,
    inputs: Sequence[TensorSpec],
    preprocessing: Declaration | None = None,
    limit: int | None = None,
    skip: int = 0,
    on_error: OnError = "stop",
    labelled: bool = True,
    saved: Declaration | None = None,
) -> Dataset:
    """Dataset of `spec` for a model with these inputs.

    It has `limit` samples after the first `skip`.

    * `spec`: a path or name in one of the forms of `named.ACCEPTED`; an array, or a mapping of arrays, whose first axis
      counts samples; an iterable that can be read repeatedly (see `IterableSource`), or a function that returns one
    * `preprocessing`: for files of images and texts; None for `saved`, that of the model's metadata. For images without
      either, it is inferred from the model's input, with a notice
    * `on_error`: "skip" leaves out samples that are unreadable or do not fit, and a notice counts them; `limit` and
      `skip` count them too
    * `labelled`: False accepts folders beside images, where labels do not matter

    Raises DataError; a fault of a sample is raised when that sample is read.
    """
    if skip < 0 or (limit is not None and limit < 1):
        raise DataError(f"expected limit >= 1 and skip >= 0, got limit={limit}, skip={skip}")
    if not inputs:
        raise DataError("the model has no inputs, so there are no samples to give it")
    if isinstance(spec, str | os.PathLike):
        source: Source = named_source(os.fspath(spec), inputs, preprocessing or saved, labelled=labelled)
    else:
        source = _object_source(spec, inputs)
    if source.size is not None and source.size <= skip:
        raise DataError(f"{source.name} holds {source.size} samples; none is left after the first {skip}")
    remarks = []
    if limit is not None and source.size is not None and source.size - skip < limit:
        remarks.append(f"{limit} samples were asked for; {source.name} has {source.size - skip}")
    if source.preprocessing is None and preprocessing is not None:
        remarks.append(
            f"the preprocessing applies to image files and texts; the samples of {source.name} are taken as they are"
        )
    stop = None if limit is None else skip + limit
    return CheckedDataset(
        source=source,
        inputs=tuple(inputs),
        start=skip,
        stop=stop,
        on_error=on_error,
        remarks=remarks,
    )


def describe_skipped(errors: Sequence[str]) -> str:
    """Sentence with the number of skipped samples and the first reason."""
    if len(errors) == 1:
        return f"1 sample was skipped: {errors[0]}"
    return f"{len(errors)} samples were skipped; the first: {errors[0]}"


def _object_source(data: Any, inputs: Sequence[TensorSpec]) -> Source:
    if isinstance(data, Mapping):
        tables = {str(key): MemoryTable(to_array(value, f"data[{key!r}]")) for key, value in data.items()}
        return array_source(tables, inputs, "data")
    if isinstance(data, np.ndarray) or hasattr(data, "detach"):
        if len(inputs) != 1:
            raise DataError(
                f"the data are one array; the model has {len(inputs)} inputs: give a dict of arrays by name"
            )
        return array_source({inputs[0].name: MemoryTable(to_array(data, "data"))}, inputs, "data")
    return IterableSource(name="data", open=reopener(data), specs=inputs)
