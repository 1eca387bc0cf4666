"""Arrays among the outputs of a session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyint.numbers.numerics import Array

__all__ = ["tensors_of"]


def tensors_of(outputs: Mapping[str, Any]) -> dict[str, Array]:
    """Arrays by name; a sequence `y` becomes `y[0]`, `y[1]`, ….

    A list of maps to numbers, as classifiers of other libraries return, becomes one array (rows, keys), with the keys
    in their order. Other values are left out, as an optional one that is missing.
    """
    return {name: array for output, value in outputs.items() for name, array in _tensors(output, value)}


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Array]]:
    if isinstance(value, np.ndarray | np.generic):
        yield name, np.asarray(value)
    elif isinstance(value, dict):
        yield name, np.array(list(value.values()))
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        if all(row.keys() == value[0].keys() for row in value):
            yield name, np.array([[row[key] for key in value[0]] for row in value])
    elif isinstance(value, list):
        for i, element in enumerate(value):
            yield from _tensors(f"{name}[{i}]", element)
