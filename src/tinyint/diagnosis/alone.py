"""One unit in 8 bits, as in the int8 model, op by op."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

import numpy as np
import onnx_ir as ir

from tinyint.diagnosis.matched import Matched
from tinyint.diagnosis.pairs import Constant
from tinyint.diagnosis.segments import UnitSegment
from tinyint.diagnosis.units import Unit
from tinyint.graph.edit import GraphEditor
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.numbers.numerics import Array, QParams

__all__ = ["Part", "quantized_alone"]


class Part(StrEnum):
    """Part of a unit that is rounded."""

    INPUTS = "inputs"
    WEIGHTS = "weights"
    RESULT = "result"


def quantized_alone(
    matched: Matched,
    segment: UnitSegment,
    unit: Unit,
    parts: Collection[Part] = tuple(Part),
    *,
    tensors: Mapping[str, Array],
) -> ir.Model:
    """Model of the unit's segment, with inputs, constants and output rounded.

    Types that the graph leaves open are those of `tensors`, which it reads.
    """
    model = segment.model(matched.prepared, tensors)
    graph = model.graph
    params = {activation.name: activation.params for activation in matched.pairs.activations}
    own = [constant for constant in matched.pairs.constants if constant.reader in unit.nodes]
    editor = GraphEditor(graph)
    for node in list(graph) if Part.WEIGHTS in parts else ():
        _round_constants(editor, node, own)
    for value in graph.inputs if Part.INPUTS in parts else ():
        if value.name in unit.inputs:
            readers = [(use.node, use.idx) for use in value.uses()]
            rounded = _rounded(editor, value, params[value.name])
            for reader, i in readers:
                reader.replace_input_with(i, rounded)
    if unit.rounds_output and Part.RESULT in parts:
        _round_output(editor, unit.output, params[unit.output])
    graph.sort()
    return model


def _round_constants(editor: GraphEditor, node: ir.Node, constants: Sequence[Constant]) -> None:
    """Replaces constants by what their codes stand for."""
    for i, value in enumerate(node.inputs):
        array = constant_of(value)
        if array is None or value is None:
            continue
        for constant in constants:
            if constant.reader == node.name and _is_same(array, constant):
                rounded = constant.dequantized.astype(array.dtype)
                node.replace_input_with(i, editor.constant(f"{name_of(value)}_dq", rounded))
                break


def _is_same(array: np.ndarray, constant: Constant) -> bool:
    return (
        array.shape == constant.values.shape
        and array.dtype.kind == "f"
        and bool(np.array_equal(array.astype(np.float32, copy=False), constant.values, equal_nan=True))
    )


def _round_output(editor: GraphEditor, name: str, params: QParams) -> None:
    graph = editor.graph
    place = next(i for i, value in enumerate(graph.outputs) if value.name == name)
    value = graph.outputs[place]
    value.name = editor.value_name(f"{name}_float")
    rounded = _rounded(editor, value, params)
    rounded.name = name
    rounded.type, rounded.shape = value.type, value.shape
    graph.outputs[place] = rounded


def _rounded(editor: GraphEditor, value: ir.Value, params: QParams) -> ir.Value:
    """The value after a quantizer and its inverse."""
    stem = name_of(value)
    parameters = [
        editor.constant(f"{stem}/scale", np.asarray(params.scale, np.float32)),
        editor.constant(f"{stem}/zero_point", np.asarray(params.zero_point, params.qtype.dtype)),
    ]
    axis = {} if params.axis is None else {"axis": params.axis}
    codes = editor.node("QuantizeLinear", [value, *parameters], f"{stem}/Q", axis)
    return editor.node("DequantizeLinear", [codes, *parameters], f"{stem}/DQ", axis)
