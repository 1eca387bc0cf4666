"""Statistics for repair steps, observed beside the summaries for ranges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import onnx_ir as ir

from tinyint.numbers.numerics import Array
from tinyint.quantization.calibration.builder import GraphBuilder
from tinyint.quantization.calibration.patches import Patches

__all__ = ["Layout", "Request", "Statistic"]

Layout: TypeAlias = "dict[str, tuple[type[np.generic], tuple[int, ...]]]"
"""Type and shape of arrays, by name."""


class Statistic(ABC):
    """A value for the channels of one tensor, over all samples.

    As `observers.Summary`, it is a commutative monoid: any order or split of the samples gives the same bits.

    * `name`: in files and cache keys
    * `samples`: how many it is of; 0: nothing was seen
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self.samples = 0

    @staticmethod
    @abstractmethod
    def reduce(builder: GraphBuilder, tensor: ir.Value, need: Request) -> list[ir.Value]:
        """Outputs for a tensor (samples, channels, elements), samples on axis 0."""

    @abstractmethod
    def update(self, parts: list[Array], elements: int) -> None:
        """Adds a sample: its finite row of `reduce`, and the elements per channel."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Adds the samples of `other`."""

    @abstractmethod
    def to_header(self) -> dict[str, Any]:
        """All but the arrays, for JSON."""

    @abstractmethod
    def to_arrays(self) -> dict[str, Array]: ...

    @staticmethod
    @abstractmethod
    def layout(header: Mapping[str, Any]) -> Layout:
        """The arrays that a header tells of."""

    @classmethod
    @abstractmethod
    def from_stored(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Statistic from the results of `to_header` and `to_arrays`.

        Raises KeyError, TypeError or ValueError for a damaged one.
        """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        mine, theirs = self.to_arrays(), other.to_arrays()
        same = self.samples == other.samples and self.to_header() == other.to_header()
        return same and all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Statistic of one tensor, whose channels lie along `axis`, never the first.

    * `patches`: windows to take for channels, C · size of them
    * `block`: channels that are told of together, for a statistic of pairs; by default all
    """

    statistic: type[Statistic]
    tensor: str
    axis: int = 1
    patches: Patches | None = None
    block: int | None = None

    def __str__(self) -> str:
        """In error messages and cache keys."""
        told = f"{self.statistic.name} of {self.tensor!r} along axis {self.axis}"
        windows = "" if self.patches is None else f", {self.patches}"
        return told + windows + ("" if self.block is None else f", in blocks of {self.block}")

    def to_header(self) -> dict[str, Any]:
        """All of it, for JSON; what is not asked for is left out."""
        header: dict[str, Any] = {"kind": self.statistic.name, "tensor": self.tensor, "axis": self.axis}
        if self.patches is not None:
            header["patches"] = self.patches.to_header()
        return header if self.block is None else {**header, "block": self.block}
