"""Samples as a user names them: data, which of them, how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tinyint.data.declaration import Declaration
from tinyint.data.declared import DeclarationSource, resolve_preprocessing, saved_preprocessing
from tinyint.data.named import paths_in
from tinyint.data.open import OnError, open_data
from tinyint.data.sample import Dataset
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec

__all__ = ["Data", "HowMany", "Samples", "Spec"]

Spec: TypeAlias = "str | Path | Iterable[Any]"
"""What `open_data` reads."""

HowMany: TypeAlias = int | Literal["all"]


@dataclass(frozen=True)
class Samples:
    """Data, and how they are read.

    * `data`: see `open_data`; None names no samples, but may declare a preprocessing
    * `limit`: the first so many, or "all"; by default, as many as the verb needs
    * `skip`: leaves out the first so many, such as those that were calibrated on
    * `preprocessing`: of images or texts: a declaration, its keys, or a YAML file; by default, what the model declares
    * `on_error`: "skip" leaves out samples that cannot be read, and counts them in a notice
    """

    data: Spec | None
    _: KW_ONLY
    limit: HowMany | None = None
    skip: int = 0
    preprocessing: DeclarationSource | None = None
    on_error: OnError = "stop"

    @classmethod
    def of(cls, data: Data | None) -> Samples:
        """The samples, of what a verb is given as `data`."""
        return data if isinstance(data, cls) else cls(data)  # type: ignore[arg-type]  # mypy takes cls for a subclass

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.data) if isinstance(self.data, str | Path) else "the data"

    @property
    def paths(self) -> list[Path]:
        """Files and folders that are read."""
        declared = self.preprocessing
        return [*paths_in(self.data), *([Path(declared)] if isinstance(declared, str | Path) else [])]

    def declared(self, metadata: Mapping[str, str]) -> Declaration | None:
        """Preprocessing as given, else as in a model's metadata. Raises DataError."""
        return resolve_preprocessing(self.preprocessing, metadata)

    def open(
        self,
        inputs: Sequence[TensorSpec],
        metadata: Mapping[str, str],
        *,
        default: HowMany = "all",
        labelled: bool = True,
    ) -> Dataset:
        """Dataset of the samples for a model with these inputs and metadata.

        `default`: how many, where there is no limit; fewer are then no reason for a notice. Raises as `open_data`.
        """
        if self.data is None:
            raise DataError("there are no samples; give data")
        given = None if self.preprocessing is None else self.declared({})
        saved = saved_preprocessing(metadata) if given is None else None

        def opened(limit: HowMany) -> Dataset:
            return open_data(
                self.data,
                inputs,
                given,
                limit=None if limit == "all" else limit,
                skip=self.skip,
                on_error=self.on_error,
                labelled=labelled,
                saved=saved,
            )

        if self.limit is not None:
            return opened(self.limit)
        dataset = opened("all")
        fewer = default == "all" or (dataset.len_hint is not None and dataset.len_hint <= default)
        return dataset if fewer else opened(default)


Data: TypeAlias = "Spec | Samples"
