"""Correction of biases: outputs whose means are those of the float model.

    E[y] = E[ŷ]        b̂ = b + E[y - ŷ],  operator by operator, all before it in int8 and corrected

Finkelstein et al. 2019, Fighting Quantization Bias With Bias (arXiv:1906.03193); Nagel et al. 2019 (arXiv:1906.04721,
§4.2). The means are those of half of the samples, run in stages (`repair.staged`); the other half judges whether
outputs come nearer to float, which they may not where most positions are padding. Where there are no samples, as with a
record alone, a bias makes up for the rounding of its own weights only:

    b̂ = b + (W - Ŵ)·E[x]        by the means of the record; at borders with padding they are taken to hold as everywhere
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.edit import replace_constant
from tinyint.graph.names import name_of
from tinyint.graph.ops import facts, is_convolution, is_weighted, layout_of
from tinyint.graph.walk import constant_of, static_shape
from tinyint.numbers.numerics import Array, FloatArray, dequantize, fake_quantize
from tinyint.quantization.calibration.statistics import ChannelMeans, Request
from tinyint.quantization.plan import Use
from tinyint.quantization.qdq import insert
from tinyint.quantization.repair.channel_means import SampleMeans, means_by_sample
from tinyint.quantization.repair.output_distance import distances
from tinyint.quantization.repair.staged import staged
from tinyint.quantization.repair.step import ParameterStep, Quantization

__all__ = ["STEP", "correction", "mean_difference"]


def correction(weight: FloatArray, stored: FloatArray, means: Array) -> Array:
    """Growth of a bias for the rounding of weights, float64 (outputs of all groups,).

    `weight`, and what its codes stand for: (groups, outputs, inputs, kernel) as of `WeightLayout.matrix`; `means`:
    (inputs of all groups,).
    """
    groups, _, inputs, _ = weight.shape
    error = weight.astype(np.float64) - stored.astype(np.float64)
    change: Array = np.einsum("goik,gi->go", error, means.reshape(groups, inputs)).reshape(-1)
    return change


def mean_difference(exact: Sequence[SampleMeans], found: Sequence[SampleMeans]) -> Array | None:
    """Mean lack of the channels over samples, float64 (channels,).

    Samples count by their elements; those without any, or whose means are not finite, do not. None where none is left.
    """
    pairs = [
        (ours.elements, ours.means - theirs.means)
        for ours, theirs in zip(exact, found, strict=True)
        if ours.elements and theirs.elements
    ]
    pairs = [(elements, difference) for elements, difference in pairs if np.isfinite(difference).all()]
    if not pairs:
        return None
    total: Array = np.sum([elements * difference for elements, difference in pairs], axis=0)
    return np.asarray(total / sum(elements for elements, _ in pairs))


class CorrectBias(ParameterStep):
    """By the means of each output, with all before it in int8."""

    name = "correct_bias"
    samples = 32

    def needs(self, model: ir.Model) -> frozenset[Request]:
        return frozenset(filter(None, map(_means, model.graph)))

    def apply(self, state: Quantization) -> tuple[Quantization, str]:
        graph = state.graph.clone()
        places = {place.node: place for place in _places(state, graph)}
        if not places:
            return state, "found nothing to do: no operator with weights in int8 has a bias of its own"
        if not state.samples:
            count = _correct_weights(state, places)
            told = f"corrected the biases of {count} operators by the rounding of their weights alone"
            return replace(
                state, graph=graph
            ), f"{told}; with data beside the record, all before them counts too"
        half = len(state.samples) // 2
        corrected, judged = state.samples[: half or None], state.samples[half:]
        try:
            count = _correct_outputs(replace(state, samples=corrected), places)
            made = [_int8(state, each) for each in (state.graph, graph)]
            before, after = distances(state.graph, made, judged)
        except ModelError as error:
            return state, f"found nothing to do: {error}"
        if after < before:
            return state, (
                f"undone, since on {len(judged)} other samples outputs would be {after:.1f} dB from float, instead of "
                f"{before:.1f} dB"
            )
        return replace(state, graph=graph), f"corrected the biases of {count} operators"


STEP = CorrectBias()


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Bias of its own in the graph that is corrected.

    * `node`: that adds it; `product`: the operator with weights; `axis`: of its channels in the output
    * `use`, `weight`: the constants, in the plan
    """

    node: str
    product: ir.Node
    bias: ir.Value
    output: str
    axis: int
    use: Use
    weight: Use

    @property
    def values(self) -> FloatArray:
        array = constant_of(self.bias)
        assert array is not None
        return array.astype(np.float32, copy=False)

    def grow(self, change: Array) -> None:
        values = self.values
        replace_constant(self.bias, (values + change.reshape(values.shape)).astype(np.float32))


def _places(state: Quantization, graph: ir.Model) -> Iterator[_Place]:
    nodes = {name_of(node): node for node in graph.graph}
    for use, weight in state.plan.bias_weights.items():
        node, product = nodes[use[0]], nodes[weight[0]]
        bias, row, rank = node.inputs[use[1]], facts(product), len(static_shape(node.outputs[0]) or ())
        if bias is None or constant_of(bias) is None or len(bias.uses()) > 1 or row is None or rank < 2:
            continue
        yield _Place(
            node=use[0],
            product=product,
            bias=bias,
            output=name_of(node.outputs[0]),
            axis=row.channel_axis % rank,
            use=use,
            weight=weight,
        )


def _correct_outputs(state: Quantization, places: Mapping[str, _Place]) -> int:
    """Number of biases that were corrected, in the order of the int8 graph."""
    requests = {
        name: Request(statistic=ChannelMeans, tensor=place.output, axis=place.axis)
        for name, place in places.items()
    }
    exact = means_by_sample(state.graph, frozenset(requests.values()), state.samples)
    int8, count = _int8(state, state.graph), 0
    for node, held in staged(int8, places, state.samples):
        place, output = places[name_of(node)], name_of(node.outputs[0])
        found = [SampleMeans.of(tensors[output], place.axis) for tensors in held]
        change = mean_difference([means[requests[place.node]] for means in exact[: len(held)]], found)
        if change is None or change.size != place.values.size:
            continue
        params = state.assignment.constants[place.use].params
        before = fake_quantize(place.values, params)
        place.grow(change)
        shift = (fake_quantize(place.values, params) - before).reshape(-1)
        along = [-1 if axis == place.axis else 1 for axis in range(held[0][output].ndim)]
        for tensors in held:
            tensors[output] = tensors[output] + shift.reshape(along)
        count += 1
    return count


def _int8(state: Quantization, graph: ir.Model) -> ir.Model:
    return insert(graph, state.plan, state.assignment)


def _correct_weights(state: Quantization, places: Mapping[str, _Place]) -> int:
    """Number of biases that make up for the rounding of their weights."""
    count = 0
    for place in places.values():
        request, weight = _means(place.product), constant_of(place.product.inputs[1])
        if request is None or weight is None:
            continue
        constant = state.assignment.constants[place.weight]
        stored = dequantize(constant.quantize(weight), constant.params)
        matrices = [layout_of(place.product).matrix(np.ascontiguousarray(each)) for each in (weight, stored)]
        means = state.record.statistic(request)
        assert isinstance(means, ChannelMeans)
        place.grow(correction(matrices[0], matrices[1], means.means()))
        count += 1
    return count


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
