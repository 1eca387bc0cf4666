"""Correction of biases: outputs whose means are those before rounding the weights.

    E[W·x + b] = E[Ŵ·x + b̂]        b̂ = b + (W - Ŵ)·E[x]

Finkelstein et al. 2019, Fighting Quantization Bias With Bias (arXiv:1906.03193); Nagel et al. 2019 (arXiv:1906.04721,
§4.2). The means are of the calibration samples; at borders with padding they are taken to hold as everywhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import replace_constant
from tinyint.graph.names import name_of
from tinyint.graph.ops import is_convolution, is_weighted, layout_of
from tinyint.graph.walk import constant_of, static_shape
from tinyint.numbers.numerics import Array, FloatArray, dequantize
from tinyint.quantization.calibration.statistics import ChannelMeans, Request
from tinyint.quantization.repair.step import ParameterStep, Quantization

__all__ = ["STEP", "correction"]


def correction(weight: FloatArray, stored: FloatArray, means: Array) -> Array:
    """Growth of an operator's bias, float64 (outputs of all groups,).

    `weight`, and what its codes stand for: (groups, outputs, inputs, kernel) as of `WeightLayout.matrix`; `means`:
    (inputs of all groups,).
    """
    groups, _, inputs, _ = weight.shape
    error = weight.astype(np.float64) - stored.astype(np.float64)
    change: Array = np.einsum("goik,gi->go", error, means.reshape(groups, inputs)).reshape(-1)
    return change


class CorrectBias(ParameterStep):
    """By the rounding errors of the weights, and the mean of each input channel."""

    name = "correct_bias"

    def needs(self, model: ir.Model) -> frozenset[Request]:
        return frozenset(filter(None, map(_means, model.graph)))

    def apply(self, state: Quantization) -> tuple[Quantization, str]:
        graph, constants = state.graph.clone(), state.assignment.constants
        nodes, count = {name_of(node): node for node in graph.graph}, 0
        for (name, position), weight_use in state.plan.bias_weights.items():
            product, bias = nodes[weight_use[0]], nodes[name].inputs[position]
            request, known = _means(product), constant_of(bias)
            if request is None or bias is None or known is None or len(bias.uses()) > 1:
                continue
            weight, constant = constant_of(product.inputs[1]), constants[weight_use]
            assert weight is not None
            stored = dequantize(constant.quantize(weight), constant.params)
            matrices = [layout_of(product).matrix(np.ascontiguousarray(array)) for array in (weight, stored)]
            means = state.record.statistic(request)
            assert isinstance(means, ChannelMeans)
            change = correction(matrices[0], matrices[1], means.means())
            replace_constant(bias, (known + change.reshape(known.shape)).astype(np.float32))
            count += 1
        if not count:
            return state, "found nothing to do: no operator with weights in int8 has a bias of its own"
        return replace(state, graph=graph), f"corrected the biases of {count} operators"


STEP = CorrectBias()


def _means(node: ir.Node) -> Request | None:
    """Request for the means of what an operator multiplies by its weights.

    None where outputs see different parts of the weights, as those of a transposed convolution do.
    """
    value, weight = node.inputs[0] if is_weighted(node) else None, None
    if value is None or (weight := constant_of(node.inputs[1])) is None:
        return None
    if is_convolution(node):
        whole = layout_of(node).outputs_first
        return Request(statistic=ChannelMeans, tensor=name_of(value)) if whole else None
    rank = len(static_shape(value) or ())
    if rank < 2 or weight.ndim != 2 or node.attributes.get_int("transA", 0) != 0:
        return None
    return Request(statistic=ChannelMeans, tensor=name_of(value), axis=rank - 1)
