"""The plainest int8 model there is: a quantizer over the whole range of every tensor, weights included."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tests.fuzz.figures import Outputs
from tinyint.errors import ModelError
from tinyint.graph.edit import GraphEditor
from tinyint.graph.prepare import prepare
from tinyint.graph.walk import constant_of
from tinyint.runtimes import get_runtime


def quantized_per_tensor(
    model: ir.Model, samples: list[dict[str, np.ndarray]], shift: int | None = None
) -> Outputs | None:
    """The outputs of the samples; None for a model in which nothing is float32.

    With `shift`, a seed, the codes of each quantizer stand for numbers that are shifted by a part of a step, and go on
    beyond its range: it is as coarse, but has no luck with values that are 0 or the end of the range.
    """
    model = prepare(model)
    computed = [v for node in model.graph for v in node.outputs if v.dtype == ir.DataType.FLOAT and v.name]
    inputs = [v for v in model.graph.inputs if v.dtype == ir.DataType.FLOAT]
    if not computed:
        return None
    ranges = _ranges(model, inputs, computed, samples)
    if ranges is None:
        return None
    rng = None if shift is None else np.random.default_rng(shift)
    for value in (*inputs, *computed):
        _fake_quantize(model.graph, value, *ranges[value.name or ""], rng)
    for node in model.graph:
        for i, value in enumerate(node.inputs):
            array = constant_of(value)
            if node.op_type.endswith("QuantizeLinear") or node.op_type == "QuantizeLinear":
                continue
            if array is not None and array.dtype == np.float32 and array.ndim > 1:
                node.replace_input_with(i, GraphEditor(model.graph).constant("plain", _rounded(array, rng)))
    return _run(model, samples)


def _ranges(
    model: ir.Model, inputs: list[ir.Value], computed: list[ir.Value], samples: list[dict[str, np.ndarray]]
) -> dict[str, tuple[float, float]] | None:
    watched = model.clone()
    by_name = {v.name: v for node in watched.graph for v in node.outputs}
    outputs = list(watched.graph.outputs)
    watched.graph.outputs.extend(
        v for name in (c.name for c in computed) if (v := by_name[name]) not in outputs
    )
    found = _run(watched, samples)
    if found is None:
        return None
    arrays = {v.name or "": [o[v.name or ""] for o in found] for v in computed}
    arrays |= {v.name or "": [s[v.name or ""] for s in samples] for v in inputs}
    return {
        name: (
            min(0.0, *(float(a.min(initial=0)) for a in held)),
            max(0.0, *(float(a.max(initial=0)) for a in held)),
        )
        for name, held in arrays.items()
    }


def _fake_quantize(
    graph: ir.Graph, value: ir.Value, lo: float, hi: float, rng: np.random.Generator | None
) -> None:
    step = max((hi - lo) / 255, 1e-30)
    editor = GraphEditor(graph)
    uses, is_output = list(value.uses()), value in graph.outputs
    scale = editor.constant("plain_scale", np.array(step, np.float32))
    if rng is None:
        zero = editor.constant("plain_zero", np.array(np.clip(round(-lo / step), 0, 255), np.uint8))
        nodes = [ir.node("QuantizeLinear", [value, scale, zero])]
        nodes.append(ir.node("DequantizeLinear", [nodes[-1].outputs[0], scale, zero]))
    else:
        offset = editor.constant("plain_offset", np.array(rng.uniform(-0.5, 0.5) * step, np.float32))
        nodes = [ir.node("Sub", [value, offset])]
        for op_type, *more in (("Div", scale), ("Round",), ("Mul", scale), ("Add", offset)):
            nodes.append(ir.node(op_type, [nodes[-1].outputs[0], *more]))
    for node in nodes:
        editor.rename(node.outputs[0], "plain")
    back = nodes[-1]
    producer = value.producer()
    if producer is None:
        graph.insert_before(next(iter(graph)), nodes)
    else:
        graph.insert_after(producer, nodes)
    for use in uses:
        if use.node.graph is graph:
            use.node.replace_input_with(use.idx, back.outputs[0])
    if is_output and producer is not None:
        name, back.outputs[0].dtype, back.outputs[0].shape = value.name, value.dtype, value.shape
        editor.rename(value, f"{name}_float")
        back.outputs[0].name = name
        graph.outputs[list(graph.outputs).index(value)] = back.outputs[0]


def _rounded(array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    step = float(np.abs(array).max(initial=0)) / 127
    if step == 0:
        return array
    offset = 0.0 if rng is None else rng.uniform(-0.5, 0.5, array.shape)
    steps = np.rint(array / step - offset) + offset
    return (steps * step).astype(np.float32)


def _run(model: ir.Model, samples: list[dict[str, np.ndarray]]) -> Outputs | None:
    try:
        session = get_runtime("onnxruntime").open(model, threads=1, optimize=False)
        return [session.run(sample) for sample in samples]
    except ModelError:
        return None
