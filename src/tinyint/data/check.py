"""Check of each sample against the model's inputs, before its use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinyint.data.sample import Sample
from tinyint.errors import DataError, nearest
from tinyint.numbers.numerics import Array
from tinyint.runtimes.base import TensorSpec

Tell = Callable[[str], None]
_CHANNELS_TO_FRONT, _CHANNELS_TO_BACK = (0, 3, 1, 2), (0, 2, 3, 1)


def check_sample(sample: Sample, specs: Sequence[TensorSpec], tell: Tell) -> Sample:
    """Sample with its arrays in the model's types.

    `tell` gets a sentence on each conversion. Converted are floats to another float type, and integers to another
    integer type if it holds the values. Integers are not converted to floats: usually they are pixels that still need
    the scaling of the training. Raises DataError, with sample and input, for a missing input, a wrong type, rank or
    dimension, an empty array, NaN or infinity.
    """
    for spec in specs:
        if spec.name not in sample.inputs:
            raise DataError(
                f"{sample.name} has no input {spec.name!r} ({spec}): {nearest(spec.name, sample.inputs)}"
            )
    inputs = {
        spec.name: _fit(sample.inputs[spec.name], spec, f"{sample.name}, input {spec.name!r}", tell)
        for spec in specs
    }
    return Sample(inputs, sample.label, sample.name)


def _fit(array: Array, spec: TensorSpec, where: str, tell: Tell) -> Array:
    if array.size == 0:
        raise DataError(f"{where}: the array is empty (shape {array.shape}); expected {spec}")
    if not _shape_fits(array.shape, spec):
        raise DataError(
            f"{where}: the array has shape {array.shape}; expected {spec}{transposed(array.shape, spec)}"
        )
    _check_finite(array, where)
    if array.dtype != spec.dtype:
        converted = _convert(array, spec, where)
        if array.dtype.newbyteorder("=") != spec.dtype:
            tell(f"input {spec.name!r}: {array.dtype} samples are converted to the model's {spec.dtype}")
        array = converted
    return np.asarray(array, order="C")


def _shape_fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    return len(shape) == len(spec.shape) and all(
        dim in (None, size) for dim, size in zip(spec.shape, shape, strict=True)
    )


def transposed(shape: tuple[int, ...], spec: TensorSpec) -> str:
    """Hint for a message if only the axis of the channels is wrong, else ""."""
    if len(shape) == 4:
        for axes in (_CHANNELS_TO_FRONT, _CHANNELS_TO_BACK):
            if _shape_fits(tuple(shape[i] for i in axes), spec):
                return f"; it would fit after transpose{axes}"
    return ""


def _check_finite(array: Array, where: str) -> None:
    if array.dtype.kind not in "fc":
        return
    finite = np.isfinite(array)
    if not finite.all():
        positions = np.argwhere(~finite)
        value = array[tuple(positions[0])]
        first = [int(i) for i in positions[0]]
        raise DataError(
            f"{where}: {len(positions)} of {array.size} values are NaN or infinite (the first, {value}, at {first})"
        )


def _convert(array: Array, spec: TensorSpec, where: str) -> Array:
    source, target = array.dtype, spec.dtype
    if source.kind == "f" and target.kind == "f":
        with np.errstate(over="ignore"):
            converted = array.astype(target)
        if np.isinf(converted).any():
            raise DataError(f"{where}: {np.abs(array).max():g} is out of the range of the model's {target}")
        return converted
    if source.kind in "iub" and target.kind in "iu":
        bounds = np.iinfo(target)
        low, high = int(array.min()), int(array.max())
        if low < bounds.min or high > bounds.max:
            raise DataError(
                f"{where}: the values {low} to {high} are out of the range of the model's {target}"
            )
        return array.astype(target)
    remedy = f"convert the samples to {target}"
    if source.kind in "iub" and target.kind == "f":
        remedy += ", scaled as in training (for image files, declare the preprocessing instead)"
    raise DataError(f"{where}: the array is of type {source}; the model takes {spec}: {remedy}")
