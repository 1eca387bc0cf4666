"""Inputs that a model must be fed."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.runtimes.base import TensorSpec

__all__ = ["input_specs"]


def input_specs(model: ir.Model) -> tuple[TensorSpec, ...]:
    """Specs of the inputs to feed.

    Raises ModelError for one that is not a tensor of numbers.
    """
    specs = []
    for value in model.graph.inputs:
        if value.is_initializer():
            continue
        if value.dtype is None or value.shape is None or value.dtype == ir.DataType.STRING:
            raise ModelError(
                f"input {value.name!r} of the model has type {value.type} and shape {value.shape}; "
                "a tensor of numbers of known rank is needed"
            )
        shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
        # NumPy has no bfloat16; runtimes are fed float32, which holds all its numbers.
        dtype = ir.DataType.FLOAT if value.dtype == ir.DataType.BFLOAT16 else value.dtype
        specs.append(TensorSpec(name=name_of(value), dtype=dtype.numpy(), shape=shape))
    return tuple(specs)
