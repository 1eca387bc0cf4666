"""Interface of a family of synthetic data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

__all__ = ["SPLITS", "Family", "Split", "generator", "write_lines"]

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


def generator(seed: int, split: Split, index: int) -> np.random.Generator:
    """Random generator of one sample, independent of those of other samples."""
    return np.random.default_rng((seed, SPLITS.index(split), index))


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class Family(ABC):
    """Kind of synthetic data and its format; `size` in pixels, 0 without images."""

    name: ClassVar[str]
    title: ClassVar[str]
    """Description in half a line."""
    task: ClassVar[str]
    counts: ClassVar[tuple[int, int]]
    """Default numbers of samples for training and validation."""
    least_size: ClassVar[int]
    """Smallest size at which the classes can still be told apart; 0 without images."""
    classes: ClassVar[tuple[str, ...]]
    """Names in the order of the ids."""

    size: int

    @abstractmethod
    def prepare(self, root: Path) -> None:
        """Creates directories for samples, and files that all share."""

    @abstractmethod
    def write_sample(self, root: Path, seed: int, split: Split, index: int) -> Any:
        """Writes the sample's files, and returns its part of the list.

        Runs in any process.
        """

    @abstractmethod
    def write_list(self, root: Path, split: Split, samples: Sequence[Any]) -> None:
        """Writes a split's list from results of `write_sample`, in order."""
