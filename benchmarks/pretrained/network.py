"""A pretrained network of the bench: its file, samples that it has not seen, and what counts as right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Feeds", "Network", "Samples", "rows"]

Array: TypeAlias = NDArray[Any]
Feeds: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Samples:
    """`feeds`, one sample each, and what is known of them: texts, boxes, classes, or nothing."""

    feeds: Sequence[Feeds]
    truth: Sequence[Any]


class Network(Protocol):
    """One network. The first metric is the one that tables show."""

    name: str

    def export(self, folder: Path) -> Path:
        """The float ONNX file, made in `folder`."""
        ...

    def samples(self, count: int, seed: int) -> Samples:
        """The same for the same seed; those of different seeds have nothing in common."""
        ...

    def metrics(
        self, samples: Samples, expected: Sequence[Array], outputs: Sequence[Array], /
    ) -> Mapping[str, Array]:
        """Metrics by name, one value a sample; `expected` are the float network's outputs.

        Booleans are decisions that McNemar's test compares; the rest is for the bootstrap.
        """
        ...


def rows(outputs: Sequence[Array]) -> Array:
    """(N, …) of outputs of one sample each."""
    return np.concatenate(list(outputs))
