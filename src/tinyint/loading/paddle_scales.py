"""Scales of a quantized Paddle model, restored as Q/DQ after conversion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from tinyint.errors import ModelError
from tinyint.graph.edit import GraphEditor, bypass
from tinyint.graph.names import name_of
from tinyint.graph.walk import constant_of
from tinyint.loading.paddle_quantizers import LEVELS
from tinyint.numbers.granularity import per_axis
from tinyint.numbers.numerics import INT8, Array, QParams, quantize

__all__ = ["quantize_again"]


def quantize_again(model: ir.Model, weights: Mapping[str, Any]) -> None:
    """Restores the quantizers of the converted float `model`, in place.

    Each Clip from -128·s to 127·s, by which `to_float` replaced a quantizer, becomes one of scale s. `weights`: {name:
    (scales, axis or None)}. Raises ModelError if the conversion has changed a weight.
    """
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        if node.op_type == "Clip" and (step := _step(node)) is not None:
            source = node.inputs[0]
            assert source is not None
            name = name_of(source)
            pair = [editor.constant(f"{name}/scale", np.array(step, np.float32))]
            pair.append(editor.constant(f"{name}/zero_point", np.zeros((), np.int8)))
            codes = editor.node("QuantizeLinear", [source, *pair], f"{name}/Q", before=node)
            dequantized = editor.node("DequantizeLinear", [codes, *pair], f"{name}/DQ", before=node)
            dequantized.shape, dequantized.type = node.outputs[0].shape, node.outputs[0].type
            bypass(node, dequantized)
    for name, (scales, axis) in weights.items():
        value = model.graph.initializers.get(name)
        if value is None or value.const_value is None:
            raise ModelError(
                f"the weight {name!r} of the quantized Paddle model is not in what it was converted to"
            )
        _store(editor, value, np.asarray(scales, np.float32), axis)
    RemoveUnusedNodesPass()(model)


def _step(node: ir.Node) -> float | None:
    bounds = [_constant(value) for value in node.inputs[1:3]]
    if len(bounds) < 2 or bounds[0] is None or bounds[1] is None:
        return None
    low, high = (float(bound.reshape(-1)[0]) for bound in bounds if bound is not None)
    is_ours = high > 0 and abs(low / (LEVELS + 1) + high / LEVELS) <= 1e-5 * high / LEVELS
    return high / LEVELS if is_ours else None


def _constant(value: ir.Value | None) -> Array | None:
    """Array of a bound, also through the operators that the converter adds before the clip."""
    node = None if value is None else value.producer()
    if node is not None and node.op_type in ("Identity", "Squeeze"):
        return _constant(node.inputs[0])
    return constant_of(value)


def _store(editor: GraphEditor, value: ir.Value, scales: Any, axis: int | None) -> None:
    """Stores the weight as integers, with a DequantizeLinear for its readers."""
    array, name = constant_of(value), name_of(value)
    assert array is not None
    if axis is not None and array.shape[axis] != scales.size:
        raise ModelError(
            f"the weight {name!r} of the quantized Paddle model has {scales.size} scales along axis {axis}, but the "
            f"shape {array.shape} after its conversion"
        )
    params = QParams(scale=scales, zero_point=np.int8(0), qtype=INT8, granularity=per_axis(axis))  # type: ignore[arg-type]
    readers = [(use.node, use.idx) for use in value.uses()]
    codes = editor.constant(f"{name}_q", quantize(array.astype(np.float32), params))
    constants = [
        editor.constant(f"{name}/scale", params.scale),
        editor.constant(f"{name}/zero_point", params.zero_point),
    ]
    first = min(readers, key=lambda reader: list(editor.graph).index(reader[0]))[0]
    attributes = {} if axis is None else {"axis": axis}
    dequantized = editor.node("DequantizeLinear", [codes, *constants], f"{name}/DQ", attributes, before=first)
    dequantized.shape, dequantized.type = value.shape, value.type
    for node, position in readers:
        node.replace_input_with(position, dequantized)
    if not value.is_graph_output():
        del editor.graph.initializers[name]
