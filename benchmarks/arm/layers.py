"""A model cut where it quantizes, which shows each layer by itself.

What one layer rounds otherwise may grow through all that follow. So each gets what the simulation gives it: the codes
of a QuantizeLinear, and what a DynamicQuantizeLinear reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from arm.files import Feeds

from tinyint.graph.names import name_of

__all__ = ["cut", "differences", "given", "with_cuts"]

Arrays: TypeAlias = Mapping[str, np.ndarray]
_GIVEN = " (given)"


def with_cuts(model: ir.Model) -> ir.Model:
    """The model with the values at which it is cut as outputs."""
    copy = model.clone()
    copy.graph.outputs.extend(_cuts(copy.graph))
    return copy


def cut(model: ir.Model, outputs: Arrays) -> ir.Model:
    """The model in pieces: what reads a value at a cut reads an input.

    These values are outputs, as in `with_cuts`; `given` makes the inputs of them, whose shapes are those of `outputs`.
    """
    copy = model.clone()
    for value in _cuts(copy.graph):
        array = outputs[name_of(value)]
        dtype, shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        taken = ir.Value(name=name_of(value) + _GIVEN, type=dtype, shape=shape)
        value.replace_all_uses_with(taken)
        copy.graph.inputs.append(taken)
        copy.graph.outputs.append(value)
    return copy


def given(model: ir.Model, feeds: Feeds, outputs: Arrays) -> Feeds:
    """Inputs of the `cut` model, by the outputs of the one `with_cuts`."""
    names = [name_of(value) for value in _cuts(model.graph)]
    return {**feeds, **{name + _GIVEN: outputs[name] for name in names}}


def differences(expected: Iterable[Arrays], found: Iterable[Arrays]) -> dict[str, float]:
    """How many values of the samples differ by half a step or more, and by how many steps at most.

    A step is 1 of codes, and 1/255 of the range of floats.
    """
    values, other, most = 0, 0, 0.0
    for theirs, ours in zip(expected, found, strict=True):
        for name, array in theirs.items():
            step = 1.0 if array.dtype.itemsize == 1 else np.ptp(np.append(array, 0)) / 255
            apart = np.abs(array.astype(np.float64) - ours[name]) / step
            values, other = values + apart.size, other + int((apart >= 0.5).sum())
            most = max(most, float(apart.max()))
    return {"values": values, "others": other, "steps_max": round(most, 3)}


def _cuts(graph: ir.Graph) -> list[ir.Value]:
    codes = [node.outputs[0] for node in graph if node.op_type == "QuantizeLinear"]
    read = dict.fromkeys(node.inputs[0] for node in graph if node.op_type == "DynamicQuantizeLinear")
    return codes + [value for value in read if value is not None and value.producer() is not None]
