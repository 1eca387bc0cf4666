"""Pairs of float tensors and quantizers of an int8 graph of any origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from tinyint.graph.edit import unnumbered
from tinyint.graph.flow import settled
from tinyint.graph.names import name_of
from tinyint.graph.ops import Kind, kind_of, weight_axis
from tinyint.graph.walk import constant_of, consumers
from tinyint.numbers.granularity import per_axis
from tinyint.numbers.numerics import INT32, Array, FloatArray, QParams, QType, dequantize, quantize
from tinyint.quantization.qdq import read_params as read_params

__all__ = ["Activation", "Constant", "Pairs", "pair"]


_FORMATS = {"int8", "uint8", "int16", "uint16", "int32"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """Quantized activation.

    * `name`, `op`: name and producer in the float graph
    * `codes`: name of its integers in the int8 graph
    """

    name: str
    op: str
    codes: str
    params: QParams


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """Quantized weight or bias.

    * `op`, `reader`: type and name of the operator that reads it
    * `values`, `codes`: its numbers in the float model and in the int8 model
    * `axis`: axis of the output channels
    """

    name: str
    op: str
    kind: Literal["weight", "bias"]
    values: FloatArray
    codes: Array
    params: QParams
    axis: int | None
    reader: str

    @property
    def dequantized(self) -> FloatArray:
        return dequantize(self.codes, self.params)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Paired tensors, and names of quantized tensors without a counterpart."""

    activations: tuple[Activation, ...]
    constants: tuple[Constant, ...]
    unmatched: tuple[str, ...]


def pair(float_graph: ir.Graph, int8_graph: ir.Graph) -> Pairs:
    """Pairs tensors by name, and constants also by the node that reads them."""
    activations: dict[tuple[str, float], Activation] = {}
    constants: list[Constant] = []
    unmatched: list[str] = []
    matched: Activation | Constant | None
    values = _values(float_graph)
    nodes = {node.name: node for node in float_graph if node.name}
    names_in_int8 = set(_values(int8_graph))
    for node in int8_graph:
        if node.op_type == "MatMulInteger":
            constants += _product_weight(node, nodes, float_graph, int8_graph)
        source = node.inputs[0] if _is_quantizer(node) else None
        if source is None:
            continue
        params, matched = _params(node), None
        if params is not None and constant_of(source) is not None:
            matched = _constant(node, params, nodes, float_graph)
        elif params is not None and (value := _counterpart(node, values, names_in_int8)) is not None:
            matched = _activation(value, node, params)
        match matched:
            case None:
                unmatched.append(name_of(source))
            case Constant():
                constants.append(matched)
            case Activation(name=name, params=own):
                activations.setdefault((name, float(own.scale.flat[0])), matched)
    return Pairs(
        activations=tuple(activations.values()), constants=tuple(constants), unmatched=tuple(unmatched)
    )


def _params(node: ir.Node) -> QParams | None:
    """Parameters of a quantizer; None if computed, in blocks, or not of 8, 16 or 32 bits."""
    scale, source = constant_of(node.inputs[1]), constant_of(node.inputs[0])
    if scale is None or scale.ndim > 1:
        return None
    # Without a zero-point, a constant has the format of its codes, and an activation is uint8.
    stored = constant_of(node.inputs[2]) if len(node.inputs) > 2 else source
    return read_params(node) if stored is None or stored.dtype.name in _FORMATS else None


def _values(graph: ir.Graph) -> dict[str, ir.Value]:
    computed = [value for node in graph for value in node.outputs]
    return {value.name: value for value in (*graph.inputs, *computed) if value.name}


def _is_quantizer(node: ir.Node) -> bool:
    """Whether the node quantizes a tensor, or dequantizes a constant stored in integers.

    A DequantizeLinear after a QuantizeLinear does not count: the latter is the quantizer.
    """
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.inputs[0] is None:
        return False
    source = node.inputs[0].producer()
    if source is not None and source.op_type == "QuantizeLinear":
        return False
    return node.op_type == "QuantizeLinear" or constant_of(node.inputs[0]) is not None


def _activation(value: ir.Value, quantizer: ir.Node, params: QParams) -> Activation:
    producer = value.producer()
    codes = name_of(quantizer.outputs[0])
    return Activation(
        name=name_of(value), op=producer.op_type if producer else "Input", codes=codes, params=params
    )


def _counterpart(
    quantizer: ir.Node, values: Mapping[str, ir.Value], names_in_int8: set[str]
) -> ir.Value | None:
    """Float tensor that corresponds to a quantizer; None if there is none.

    In tinyint's graphs, the dequantized T is called T_dq, or T if it is a graph output. Other tools quantize T under
    its own name. If the clamp after T is missing in their graph, the quantizer replaces it, and corresponds to the
    clamp's output.
    """
    for reader, _ in consumers(quantizer.outputs[0]):
        name = name_of(reader.outputs[0])
        base = unnumbered(name.removesuffix("_dq"), values) if name.endswith("_dq") else name
        for candidate in (base, name):
            if candidate in values:
                return values[candidate]
    source = quantizer.inputs[0]
    value = values.get(name_of(source)) if source is not None else None
    if value is None:
        return None
    after_clamp = settled(value)
    producer = after_clamp.producer()
    is_absorbed = kind_of(producer) is Kind.CLAMP and after_clamp.name not in names_in_int8
    return after_clamp if is_absorbed else value


def _constant(
    node: ir.Node, params: QParams, nodes: Mapping[str, ir.Node], float_graph: ir.Graph
) -> Constant | None:
    stored = constant_of(node.inputs[0])
    assert stored is not None
    reader, position = _reader(node)
    twin = nodes.get(name_of(reader)) if reader is not None else None
    values = _float_values(node, twin, position, stored.shape, float_graph)
    if values is None:
        return None
    codes = quantize(stored, params) if node.op_type == "QuantizeLinear" else stored
    read_by = twin or reader
    name = (node.inputs[0].name if node.inputs[0] is not None else "") or ""
    return Constant(
        name=unnumbered(name.removesuffix("_q").removesuffix("_quantized"), float_graph.initializers),
        op=read_by.op_type if read_by else "",
        kind="bias" if params.qtype.storage == INT32.storage else "weight",
        values=values.astype(np.float32, copy=False),
        codes=codes,
        params=params,
        axis=params.axis if params.axis is not None or twin is None else _axis(twin, position),
        reader=name_of(read_by) if read_by else "",
    )


def _product_weight(
    node: ir.Node, nodes: Mapping[str, ir.Node], float_graph: ir.Graph, int8_graph: ir.Graph
) -> Iterator[Constant]:
    """Weight of an integer product, if constant: T_q or T_quantized, with scale T_scale."""
    value = node.inputs[1]
    codes, name = constant_of(value), (name_of(value) if value is not None else "")
    base = name.removesuffix("_q").removesuffix("_quantized")
    scale = constant_of(int8_graph.initializers.get(f"{base}_scale"))
    if codes is None or scale is None or codes.dtype.name not in _FORMATS:
        return
    twin = nodes.get(unnumbered(base.removesuffix("/weight"), nodes))
    source = twin.inputs[1] if twin is not None else float_graph.initializers.get(base)
    values = constant_of(source)
    if values is not None and twin is not None and twin.attributes.get_int("transB", False):
        values = values.T
    if values is None or values.shape != codes.shape:
        return
    stored = constant_of(node.inputs[3]) if len(node.inputs) > 3 else None
    limits = np.iinfo(codes.dtype.name)
    params = QParams(
        scale=np.asarray(scale, np.float32),
        zero_point=np.zeros(scale.shape, codes.dtype) if stored is None else stored.reshape(scale.shape),
        qtype=QType(storage=codes.dtype.name, qmin=int(limits.min), qmax=int(limits.max)),
        granularity=per_axis(None if scale.ndim == 0 else 1),
    )
    yield Constant(
        name=(source.name or base) if source is not None else base,
        op=twin.op_type if twin is not None else "MatMul",
        kind="weight",
        values=values.astype(np.float32, copy=False),
        codes=codes,
        params=params,
        axis=1,
        reader=name_of(twin) if twin is not None else "",
    )


def _axis(node: ir.Node, position: int) -> int | None:
    return weight_axis(node) if position == 1 else None


def _reader(node: ir.Node) -> tuple[ir.Node | None, int]:
    """Operator that reads the dequantized constant, and the input's index."""
    for reader, position in consumers(node.outputs[0]):
        if reader.op_type == "DequantizeLinear":
            return _reader(reader)
        return reader, position
    return None, 0


def _float_values(
    node: ir.Node, twin: ir.Node | None, position: int, shape: tuple[int, ...], float_graph: ir.Graph
) -> Array | None:
    for array in _candidates(node, twin, position, float_graph):
        if array is not None and array.shape == shape and array.dtype.kind == "f":
            return array
    return None


def _candidates(
    node: ir.Node, twin: ir.Node | None, position: int, float_graph: ir.Graph
) -> Iterator[Array | None]:
    if twin is not None and position < len(twin.inputs):
        yield constant_of(twin.inputs[position])
    name = (node.inputs[0].name if node.inputs[0] is not None else "") or ""
    for candidate in (name, name.removesuffix("_q"), name.removesuffix("_quantized")):
        initializer = float_graph.initializers.get(candidate)
        if initializer is not None:
            yield constant_of(initializer)
