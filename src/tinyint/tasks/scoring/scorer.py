"""Interface of metrics: samples are added one by one, with the model's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tinyint.data import Sample
from tinyint.errors import ModelError
from tinyint.numbers.distance import are_values, widened
from tinyint.numbers.numerics import Array

__all__ = ["Floats", "Scorer", "defined", "require_decided"]

Floats = NDArray[np.float64]


class Scorer(Protocol):
    """Results of one model on one task, kept per unit for paired tests.

    A unit is a sample or a row of it.
    """

    @property
    def classes(self) -> int:
        """Number of classes in outputs and labels so far."""
        ...

    @property
    def units(self) -> int:
        """Number of judged units (rows of logits, or images), among which resampling draws."""
        ...

    def add(self, sample: Sample, outputs: Mapping[str, Array]) -> None:
        """Judges the outputs of one sample.

        Raises DataError for an unsuitable label, ModelError for unsuitable outputs.
        """
        ...

    def merge(self, other: Self) -> None:
        """Appends the units of another scorer of the same task."""
        ...

    def metrics(self) -> dict[str, float | None]:
        """Metrics by name, 0 to 1; None where undefined."""
        ...

    def per_class(self) -> list[float | None]:
        """The task's metric of each class: F1, AP or IoU."""
        ...

    def decisions(self) -> dict[str, NDArray[np.bool_]]:
        """Whether each unit is right, (units,), by metric.

        Only for metrics that are a share of right units.
        """
        ...

    def resampled(self, weights: Floats) -> dict[str, Floats]:
        """Metrics (B,) by name, if unit i counts weights[b, i] times; NaN where undefined."""
        ...


def require_decided(output: str, scores: Array, name: str) -> None:
    """Raises ModelError if no class score (N, classes, …) is the highest.

    `output`, `name`: names of the output and the sample.
    """
    if scores.dtype.kind != "f":
        return
    if np.isnan(scores).any():
        raise ModelError(f"output {output!r} is NaN for sample {name}; check its preprocessing")
    if not are_values(widened(scores.max(axis=1))).all():
        raise ModelError(
            f"output {output!r} is infinite for sample {name}, so that no class is the highest; check its preprocessing"
        )


def defined(value: float) -> float | None:
    """Value, or None for NaN."""
    return None if np.isnan(value) else float(value)
