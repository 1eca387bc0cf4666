"""Networks that quantize badly and compute the same as before."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import GraphEditor

__all__ = ["make_hostile", "make_raised"]


def make_hostile(model: ir.Model, spread: float, seed: int) -> ir.Model:
    """The same function with 2^round(N(0, spread)) on each channel between two layers of a MobileNetV2 with Relu."""
    generator = np.random.default_rng(seed)
    group: dict[str, str] = {}  # tensors that share their factors, by the name of the first
    for node in model.graph:
        names = [value.name for value in node.inputs if value is not None and value.name in group]
        out = node.outputs[0].name
        if node.op_type == "Add":  # the block's output takes the factors of the skip connection
            kept, other = (group[name] for name in names)
            group = {name: kept if root == other else root for name, root in group.items()} | {out: kept}
        else:
            group[out] = group[names[0]] if node.op_type in ("Relu", "GlobalAveragePool", "Flatten") else out
    fixed = {group[value.name] for value in model.graph.outputs}
    factors: dict[str, np.ndarray] = {}
    for node in model.graph:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        data, weight, bias = node.inputs
        channels = weight.shape[0]
        root = group[node.outputs[0].name]
        if root not in factors:
            drawn = 2.0 ** np.rint(generator.normal(0, spread, channels))
            factors[root] = np.ones(channels) if root in fixed else drawn
        made = factors[root]
        read = factors[group[data.name]] if data.name in group else np.ones(1)
        depthwise = weight.shape[1] == 1 and channels > 1 and read.size == channels
        matrix = (made / read)[:, None] if depthwise else made[:, None] / read[None, :]
        array = weight.const_value.numpy()
        rescaled = array * matrix.reshape(*matrix.shape, *[1] * (array.ndim - 2)).astype(np.float32)
        weight.const_value = ir.tensor(rescaled, name=weight.name)
        bias.const_value = ir.tensor(bias.const_value.numpy() * made.astype(np.float32), name=bias.name)
    return model


def make_raised(model: ir.Model, height: float, seed: int) -> ir.Model:
    """The same function, up to rounding, of a MobileNetV2 with Relu whose projections read channels that stand high.

    Before each, a convolution of one place adds |N(0, height)| to half of the channels, and a Relu follows; the
    projection's bias takes away what they make of it.
    """
    generator = np.random.default_rng(seed)
    editor = GraphEditor(model.graph)
    for node in list(model.graph):
        before = node.inputs[0].producer()
        if (
            node.op_type != "Conv"
            or before is None
            or before.op_type != "Relu"
            or node.inputs[1].shape[1] == 1
        ):
            continue
        data, weight, bias = node.inputs
        channels = int(weight.shape[1])
        added = np.abs(generator.normal(0, height, channels)) * (generator.permutation(channels) % 2)
        own = np.ones((channels, 1, 1, 1), np.float32)
        inputs = [
            data,
            editor.constant(f"{node.name}/own", own),
            editor.constant(f"{node.name}/height", added.astype(np.float32)),
        ]
        raised = editor.node("Conv", inputs, f"{node.name}/raise", {"group": channels}, before=node)
        node.replace_input_with(0, editor.node("Relu", [raised], f"{node.name}/relu", before=node))
        made = weight.const_value.numpy()[:, :, 0, 0].astype(np.float64) @ added.astype(np.float32)
        lowered = (bias.const_value.numpy() - made).astype(np.float32)
        bias.const_value = ir.tensor(lowered, name=bias.name)
    return model
