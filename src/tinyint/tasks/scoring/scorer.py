"""What a metric is made of: samples are added one at a time, with what the model gave for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tinyint.data import Sample
from tinyint.distance import are_values, widened
from tinyint.errors import ModelError
from tinyint.numerics import Array

__all__ = ["Floats", "Scorer", "defined", "require_decided"]

Floats = NDArray[np.float64]


class Scorer(Protocol):
    """Sums up one model on one task, and keeps of each unit (a sample, or a row of it) what a paired test needs."""

    @property
    def classes(self) -> int:
        """How many classes there are, as far as the outputs and labels so far show."""
        ...

    @property
    def units(self) -> int:
        """How many things were judged, each of which could have been left out: rows of logits, or images."""
        ...

    def add(self, sample: Sample, outputs: Mapping[str, Array]) -> None:
        """Judges the outputs of one sample. Raises DataError for its label, ModelError for outputs that do not fit."""
        ...

    def merge(self, other: Self) -> None:
        """Appends the units of another scorer of the same task."""
        ...

    def metrics(self) -> dict[str, float | None]:
        """By name, 0 to 1; None for what these classes or samples do not define."""
        ...

    def per_class(self) -> list[float | None]:
        """The task's own measure of each class: F1, AP or IoU."""
        ...

    def decisions(self) -> dict[str, NDArray[np.bool_]]:
        """By metric, which units are right, (units,); of those metrics alone that are a share of right units."""
        ...

    def resampled(self, weights: Floats) -> dict[str, Floats]:
        """By metric, its value (B,) had unit i been there weights[b, i] times; NaN where it is not defined."""
        ...


def require_decided(output: str, scores: Array, name: str) -> None:
    """Raises ModelError where scores of classes, (N, classes, …), have no highest one for the sample `name`."""
    if scores.dtype.kind != "f":
        return
    if np.isnan(scores).any():
        raise ModelError(f"output {output!r} is NaN for sample {name}; check its preprocessing")
    if not are_values(widened(scores.max(axis=1))).all():
        raise ModelError(
            f"output {output!r} is infinite for sample {name}, so that no class is the highest; check its preprocessing"
        )


def defined(value: float) -> float | None:
    """The value, or None for NaN."""
    return None if np.isnan(value) else float(value)
