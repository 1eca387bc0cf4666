"""A network that quantizes badly and computes the same as before."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["make_hostile"]


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
