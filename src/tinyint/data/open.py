"""From what the user calls their data to a checked dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyint.data.arrays import array_source, npy_source, npz_source
from tinyint.data.check import check_sample
from tinyint.data.folder import read_folder
from tinyint.data.generator import is_function_spec, user_samples
from tinyint.data.image_input import (
    check_preprocessing,
    describe_assumption,
    image_input,
    infer_preprocessing,
)
from tinyint.data.images import ImageFile, ImageSource, is_image_name
from tinyint.data.iterable import IterableSource, reopener, to_array
from tinyint.data.listfile import find_list, read_list
from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Dataset, Sample, Source
from tinyint.data.stored import MemoryTable
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec

ACCEPTED = (
    "a folder of class folders, a folder with a list file ('path label' lines), FOLDER:LIST, a list file (.txt), "
    "an image, an array file (.npy, .npz), or a Python function (package.module:function)"
)


@dataclass(frozen=True, kw_only=True)
class CheckedDataset:
    """Samples start, …, stop - 1 of a source, each held against the model's inputs as it is read."""

    source: Source
    inputs: Sequence[TensorSpec]
    preprocessing: Preprocessing | None
    start: int = 0
    stop: int | None = None
    told: list[str] = field(default_factory=list)

    @property
    def len_hint(self) -> int | None:
        if self.source.size is None:
            return None
        return min(self.source.size, self.source.size if self.stop is None else self.stop) - self.start

    @property
    def fingerprint(self) -> str | None:
        if (source := self.source.fingerprint) is None:
            return None
        return hashlib.sha256(f"{source}|{self.start}|{self.stop}".encode()).hexdigest()

    @property
    def notices(self) -> tuple[str, ...]:
        return (*self.source.notices, *self.told)

    def __iter__(self) -> Iterator[Sample]:
        empty = True
        with closing(self.source.read(self.start, self.stop)) as samples:
            for sample in samples:
                empty = False
                yield check_sample(sample, self.inputs, self._tell)
        if empty:
            after = f" after the first {self.start}" if self.start else ""
            raise DataError(f"{self.source.name} holds no samples{after}")

    def _tell(self, message: str) -> None:
        if message not in self.told:
            self.told.append(message)


def open_data(
    spec: str | Path | Iterable[Any] | Any,
    inputs: Sequence[TensorSpec],
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    skip: int = 0,
) -> Dataset:
    """The dataset that `spec` names, for a model with these inputs: its first `limit` samples after `skip`.

    `spec` is a path or a name as listed in `ACCEPTED`, an array or a mapping of arrays whose first axis counts
    samples, an iterable that can be read repeatedly (see `IterableSource`), or a function that returns one.
    `preprocessing` applies to image files; without it, one is inferred from the model's input and a notice says so.
    Raises DataError; a fault that only a sample shows is raised when that sample is read.
    """
    if skip < 0 or (limit is not None and limit < 1):
        raise DataError(f"expected limit >= 1 and skip >= 0, got limit={limit}, skip={skip}")
    if not inputs:
        raise DataError("the model has no inputs, so there are no samples to give it")
    if isinstance(spec, str | os.PathLike):
        source = _named_source(os.fspath(spec), inputs, preprocessing)
    else:
        source = _object_source(spec, inputs)
    if source.size is not None and source.size <= skip:
        raise DataError(f"{source.name} holds {source.size} samples; none is left after the first {skip}")
    told = []
    if limit is not None and source.size is not None and source.size - skip < limit:
        told.append(f"{limit} samples were asked for; {source.name} has {source.size - skip}")
    if isinstance(source, ImageSource):
        preprocessing = source.preprocessing
    elif preprocessing is not None:
        told.append(
            f"the preprocessing applies to image files; the samples of {source.name} are taken as they are"
        )
        preprocessing = None
    stop = None if limit is None else skip + limit
    return CheckedDataset(
        source=source, inputs=tuple(inputs), preprocessing=preprocessing, start=skip, stop=stop, told=told
    )


def _named_source(spec: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None) -> Source:
    path = Path(os.path.expanduser(spec)) if spec else Path("\0")
    folder, _, rest = spec.rpartition(":")
    if os.path.isdir(path):
        if (list_file := find_list(path)) is not None:
            return _images(str(list_file), read_list(list_file, path), [], inputs, preprocessing)
        found = read_folder(path)
        return _images(str(path), found.files, found.notices, inputs, preprocessing)
    if os.path.isfile(path):
        return _file_source(path, inputs, preprocessing)
    root = Path(os.path.expanduser(folder))
    if folder and rest and os.path.isdir(root):
        list_file = root / rest if os.path.isfile(root / rest) else Path(rest)
        return _images(str(list_file), read_list(list_file, root), [], inputs, preprocessing)
    if is_function_spec(spec):
        return IterableSource(name=spec, open=user_samples(spec), specs=inputs)
    raise DataError(f"the data {spec!r} do not exist; expected {ACCEPTED}")


def _file_source(path: Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return npy_source(path, inputs)
    if suffix == ".npz":
        return npz_source(path, inputs)
    if suffix == ".txt":
        return _images(str(path), read_list(path, path.parent), [], inputs, preprocessing)
    if is_image_name(path.name):
        return _images(str(path), [ImageFile(path, path.name)], [], inputs, preprocessing)
    raise DataError(f"{path} is no kind of data that is known by its name; expected {ACCEPTED}")


def _images(
    name: str,
    files: Sequence[ImageFile],
    notices: list[str],
    inputs: Sequence[TensorSpec],
    preprocessing: Preprocessing | None,
) -> ImageSource:
    spec = image_input(inputs, name)
    preprocessing = preprocessing or infer_preprocessing(spec)
    check_preprocessing(preprocessing, spec)
    if preprocessing.assumed:
        notices = [*notices, describe_assumption(preprocessing)]
    return ImageSource(name=name, files=files, spec=spec, preprocessing=preprocessing, notices=notices)


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
