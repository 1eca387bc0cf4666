"""The arrays among the outputs of a session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyint.numbers.numerics import Array

__all__ = ["tensors_of"]


def tensors_of(outputs: Mapping[str, Any]) -> dict[str, Array]:
    """Arrays among outputs by name; a sequence `y` gives `y[0]`, `y[1]`, ….

    Maps of numbers, as classifiers of other libraries give them, are one array: (rows, keys), the keys in their order.
    What is neither, an optional value that is missing for one, is left out.
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
