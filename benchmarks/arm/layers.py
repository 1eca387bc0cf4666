"""A Q/DQ model cut at its quantizers, which shows each layer by itself.

What one layer rounds otherwise may grow through all that follow. So each gets the codes that the simulation gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from arm.files import Feeds

from tinyint.graph.names import name_of

__all__ = ["cut", "differences", "given", "with_codes"]

Arrays: TypeAlias = Mapping[str, np.ndarray]
_GIVEN = " (given)"


def with_codes(model: ir.Model) -> ir.Model:
    """The model with every quantizer's codes as outputs."""
    copy = model.clone()
    copy.graph.outputs.extend(_codes(copy.graph))
    return copy


def cut(model: ir.Model, outputs: Arrays) -> ir.Model:
    """The model in pieces: what reads a quantizer's codes reads an input.

    The codes are outputs, as in `with_codes`; `given` makes the inputs of them, whose shapes are those of `outputs`.
    """
    copy = model.clone()
    for codes in _codes(copy.graph):
        array = outputs[name_of(codes)]
        dtype, shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        taken = ir.Value(name=name_of(codes) + _GIVEN, type=dtype, shape=shape)
        codes.replace_all_uses_with(taken)
        copy.graph.inputs.append(taken)
        copy.graph.outputs.append(codes)
    return copy


def given(feeds: Feeds, outputs: Arrays) -> Feeds:
    """Inputs of the `cut` model, by the outputs of the one `with_codes`."""
    codes = {f"{name}{_GIVEN}": array for name, array in outputs.items() if array.dtype.itemsize == 1}
    return {**feeds, **codes}


def differences(expected: Iterable[Arrays], found: Iterable[Arrays]) -> dict[str, float]:
    """How many codes of the samples differ, and by how many steps at most."""
    codes = other = most = 0
    for theirs, ours in zip(expected, found, strict=True):
        for name, array in theirs.items():
            if array.dtype.itemsize == 1:
                apart = np.abs(array.astype(np.int16) - ours[name])
                codes, other = codes + apart.size, other + int((apart > 0).sum())
                most = max(most, int(apart.max()))
    return {"codes": codes, "other_codes": other, "steps_max": most}


def _codes(graph: ir.Graph) -> list[ir.Value]:
    return [node.outputs[0] for node in graph if node.op_type == "QuantizeLinear"]
