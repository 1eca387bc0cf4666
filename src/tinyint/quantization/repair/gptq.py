"""Rounding of weights by what they multiply on the calibration samples; see `repair.rounding`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from tinyint.graph.layout import WeightLayout
from tinyint.graph.names import name_of
from tinyint.graph.ops import is_convolution, is_weighted, layout_of
from tinyint.graph.walk import constant_of, static_shape
from tinyint.numbers.granularity import spread
from tinyint.numbers.numerics import Array, Constant, QParams, dequantize
from tinyint.quantization.calibration.patches import Patches
from tinyint.quantization.calibration.statistics import Gram, Request
from tinyint.quantization.plan import Use
from tinyint.quantization.qparams import within_pair_limit
from tinyint.quantization.repair.rounding import compensated, output_errors
from tinyint.quantization.repair.step import ParameterStep, Quantization

__all__ = ["STEP"]

_BLOCK = 192
"""Inputs of an output at most that are rounded together: between blocks, no error is taken over."""
_FEWEST = 16
_POSITIONS = 64
"""Of an image, about so many count; the grid of the others is left out."""


class Gptq(ParameterStep):
    """Codes by which outputs change least, rather than weights."""

    name = "gptq"

    def needs(self, model: ir.Model) -> frozenset[Request]:
        return frozenset(request for node in model.graph if (request := _request(node)) is not None)

    def apply(self, state: Quantization) -> tuple[Quantization, str]:
        nodes = {name_of(node): node for node in state.graph.graph}
        constants, gains = dict(state.assignment.constants), []
        for use in state.plan.constants:
            request = _request(nodes[use[0]]) if use[1] == 1 else None
            if request is None:
                continue
            gram = state.record.statistic(request)
            assert isinstance(gram, Gram)
            found = _rounded(state, nodes[use[0]], use, gram.matrices())
            if found is not None:
                constants[use], gain = found
                gains.append(gain)
        if not gains:
            return state, "found nothing to do: no operator in int8 has weights that it rounds"
        told = f"rounded the weights of {len(gains)} operators by what they multiply"
        assignment = replace(state.assignment, constants=constants)
        return replace(
            state, assignment=assignment
        ), f"{told}; outputs are {np.median(gains):.1f} dB nearer (median)"


STEP = Gptq()


def _request(node: ir.Node) -> Request | None:
    """Request for the Gram matrices of what an operator multiplies by its weights.

    None where outputs see different parts of the weights, as those of a transposed convolution do, and where inputs
    cannot be cut into blocks.
    """
    value = node.inputs[0] if is_weighted(node) else None
    weight = None if value is None else constant_of(node.inputs[1])
    if value is None or weight is None or constant_of(value) is not None:
        return None
    shape, layout = static_shape(value) or (), layout_of(node)
    _, _, inputs, kernel = layout.matrix(np.empty(weight.shape, np.bool_)).shape
    block = _block(inputs * kernel)
    if block is None:
        return None
    if is_convolution(node):
        if not layout.outputs_first or len(shape) < 3 or shape[1] is None:
            return None
        patches = _patches(node, weight.shape[2:])
        if patches is None:
            return None
        return Request(statistic=Gram, tensor=name_of(value), patches=patches, block=block)
    rank = len(shape)
    if rank < 2 or weight.ndim != 2 or node.attributes.get_int("transA", 0) != 0:
        return None
    return Request(statistic=Gram, tensor=name_of(value), axis=rank - 1, block=block)


def _block(inputs: int) -> int | None:
    """The largest part of the inputs that divides them."""
    size = next(size for size in range(min(inputs, _BLOCK), 0, -1) if inputs % size == 0)
    return size if size == inputs or size >= _FEWEST else None


def _patches(node: ir.Node, kernel: tuple[int, ...]) -> Patches | None:
    rank, get = len(kernel), node.attributes.get_ints
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", ""):
        return None
    places = [size for size in (static_shape(node.outputs[0]) or ())[2:] if size is not None]
    apart = max(1, round((math.prod(places) / _POSITIONS) ** (1 / rank)))
    return Patches(
        kernel=kernel,
        strides=tuple(apart * stride for stride in get("strides", [1] * rank)),
        pads=tuple(get("pads", [0] * 2 * rank)),
        dilations=tuple(get("dilations", [1] * rank)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Matrices:
    """Weight as matrices of blocks, (blocks, outputs, inputs), and their grids, (blocks, outputs)."""

    layout: WeightLayout
    block: int
    step: Array
    zero_point: Array
    lowest: Array
    highest: Array

    @classmethod
    def of(cls, node: ir.Node, shape: tuple[int, ...], params: QParams, block: int) -> _Matrices | None:
        """None where the inputs of an output have scales of their own."""
        layout = layout_of(node)

        def by_output(values: Array) -> Array | None:
            whole = np.ascontiguousarray(np.broadcast_to(spread(values, params.granularity, shape), shape))
            rows = _cut(layout, whole, block)
            return rows[..., 0].astype(np.float64) if (rows == rows[..., :1]).all() else None

        step, zero_point = by_output(params.scale), by_output(params.zero_point)
        if step is None or zero_point is None:
            return None
        return cls(
            layout=layout,
            block=block,
            step=step,
            zero_point=zero_point,
            lowest=params.qtype.qmin - zero_point,
            highest=params.qtype.qmax - zero_point,
        )

    def cut(self, array: Array) -> Array:
        return _cut(self.layout, np.ascontiguousarray(array), self.block)

    def joined(self, blocks: Array, shape: tuple[int, ...]) -> Array:
        """Array of the weight's shape, of which these are the blocks."""
        whole = np.empty(shape)
        view = self.layout.matrix(whole)
        groups, outputs, inputs, kernel = view.shape
        parts = blocks.reshape(groups, -1, outputs, self.block).swapaxes(1, 2)
        view[...] = parts.reshape(groups, outputs, inputs, kernel)
        return whole


def _cut(layout: WeightLayout, array: Array, block: int) -> Array:
    groups, outputs, _, _ = (view := layout.matrix(array)).shape
    return view.reshape(groups, outputs, -1, block).swapaxes(1, 2).reshape(-1, outputs, block)


def _rounded(state: Quantization, node: ir.Node, use: Use, gram: Array) -> tuple[Constant, float] | None:
    """Constant with its codes, and by how many dB the output is nearer than with the codes before."""
    array, before = constant_of(node.inputs[1]), state.assignment.constants[use]
    assert array is not None
    matrices = _Matrices.of(node, array.shape, before.params, gram.shape[-1])
    if matrices is None:
        return None
    weight = matrices.cut(array)
    codes = compensated(weight, matrices.step, gram, matrices.lowest, matrices.highest)
    whole = matrices.joined(codes + matrices.zero_point[..., None], array.shape)
    constant = Constant(params=before.params, codes=whole.astype(before.params.qtype.dtype))
    constant = within_pair_limit(node, state.plan.constants[use], constant, state.assignment.tensors)
    was, now = (
        output_errors(weight - matrices.cut(dequantize(each.quantize(array), each.params)), gram).sum()
        for each in (before, constant)
    )
    return (constant, 10 * float(np.log10(was / now))) if 0 < now < was else None
