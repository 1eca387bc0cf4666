"""Write scales into a graph as QuantizeLinear and DequantizeLinear, and read them back.

A quantized tensor T becomes  T → "T/Q" → T_q → "T/DQ" → T_dq,  and the places that the plan names read T_dq. A
constant W is stored as integers W_q with one "W/DQ". Where the graph has one of these names, they are made from T_1.
Runtimes fuse the pairs around an operator into its int8 kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.flow import range_source
from tinyint.graph.names import name_of
from tinyint.graph.ops import ALL, Kind, is_weighted, kind_of, layout_of
from tinyint.graph.walk import constant_of, consumers
from tinyint.numbers.granularity import PerAxis, PerBlock, PerTensor, per_axis
from tinyint.numbers.numerics import INT32, Array, Constant, QParams, QType, is_uniform
from tinyint.quantization.plan import Plan, TensorPlan, Use
from tinyint.quantization.qparams import Assignment

__all__ = ["QuantizedTensor", "declares_int8", "insert", "quantize_constants", "read", "read_params"]

_VALUES, _NODES = ("_q", "_dq", "/scale", "/zero_point"), ("/Q", "/DQ")
"""What the names of the values and nodes around a quantized tensor end in."""
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_NEXT_TO_NOTHING = 1e-30  # beside the sums of a product, whose steps are above 1e-12
_STORAGES = ("int8", "uint8", "int16", "uint16", "int32")


def insert(model: ir.Model, plan: Plan, assignment: Assignment) -> ir.Model:
    """Copy of the prepared float `model` with the plan's quantizers.

    Inputs and outputs keep names and types.
    """
    model = model.clone()
    graph = model.graph
    values = {name_of(value): value for value in _values(graph)}
    pixels = {name for name in plan.tensors if _holds_codes(values[name], assignment.tensors[name])}
    quantize_constants(graph, assignment.constants)
    editor = GraphEditor(graph)
    for name, tensor in plan.tensors.items():
        if name not in pixels:
            _quantize_tensor(editor, values[name], tensor, assignment.tensors[name])
    _drop(graph, plan.absorbed)
    nodes = {name_of(node): node for node in graph}
    for name in sorted(plan.fenced):
        _fence(editor, nodes[name])
    for name, position in sorted(plan.biases):
        _bias(editor, nodes[name], position)
    _requantize_for_bodies(editor)
    graph.sort()
    return model


def quantize_constants(graph: ir.Graph, constants: Mapping[Use, Constant]) -> None:
    """Stores constants as integers, each with a DequantizeLinear after it.

    Those at these places, in bodies too.
    """
    nodes, editor = {name_of(node): node for node in graph.all_nodes()}, GraphEditor(graph)
    for (name, position), constant in constants.items():
        node = nodes[name]
        value = node.inputs[position]
        array = constant_of(value)
        assert value is not None
        assert array is not None
        base = editor.stem(value.name or f"{name}/{position}", values=_VALUES, nodes=_NODES)
        codes = _constant(editor, f"{base}_q", constant.quantize(array))
        dequantized = _dequantize(editor, codes, constant.params, base, before=node)
        dequantized.shape = value.shape
        node.replace_input_with(position, dequantized)
        _drop_unread(value)


def _quantize_tensor(editor: GraphEditor, value: ir.Value, plan: TensorPlan, params: QParams) -> None:
    uses = [(node, i) for node, i in consumers(value) if plan.is_read_at((name_of(node), i))]
    is_output = plan.reads is ALL and value.is_graph_output()
    name, graph = name_of(value), editor.graph
    stem = editor.stem(name, values=_VALUES, nodes=_NODES)
    if is_output:
        editor.rename(value, f"{name}_float")
    parameters = _parameters(editor, stem, params)
    axis = _attributes(params)
    q = ir.node("QuantizeLinear", [value, *parameters], attributes=axis, name=f"{stem}/Q")
    _describe(q.outputs[0], f"{stem}_q", ir.DataType.from_numpy(params.qtype.dtype), value.shape)
    dq = ir.node("DequantizeLinear", [q.outputs[0], *parameters], attributes=axis, name=f"{stem}/DQ")
    _describe(dq.outputs[0], name if is_output else f"{stem}_dq", ir.DataType.FLOAT, value.shape)
    graph.extend([q, dq])
    for node, i in uses:
        node.replace_input_with(i, dq.outputs[0])
    if is_output:
        for i, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[i] = dq.outputs[0]


def _holds_codes(value: ir.Value, params: QParams) -> bool:
    """Whether a tensor of the float graph is dequantized from codes of these parameters already, as pixels are."""
    producer = range_source(value).producer()
    return producer is not None and producer.op_type == "DequantizeLinear" and read_params(producer) == params


def _requantize_for_bodies(editor: GraphEditor) -> None:
    """Requantizes moved values for the bodies of Ifs and loops.

    ONNX Runtime 1.31 moves a DequantizeLinear past such operators, and ends the process where it comes upon a body. The
    values are codes already, so that the pair changes none.
    """
    graph = editor.graph
    for value in [out for node in graph for out in node.outputs if kind_of(node) is Kind.PRESERVING]:
        inside = [(node, i) for node, i in consumers(value) if node.graph is not graph]
        source = range_source(value).producer()
        if not inside or source is None or source.op_type != "DequantizeLinear":
            continue
        stem = editor.stem(name_of(value), values=_VALUES, nodes=_NODES)
        codes = source.inputs[0]
        assert codes is not None
        assert codes.dtype is not None
        q = ir.node("QuantizeLinear", [value, *source.inputs[1:]], name=f"{stem}/Q")
        _describe(q.outputs[0], f"{stem}_q", codes.dtype, value.shape)
        dq = ir.node("DequantizeLinear", [q.outputs[0], *source.inputs[1:]], name=f"{stem}/DQ")
        _describe(dq.outputs[0], f"{stem}_dq", ir.DataType.FLOAT, value.shape)
        graph.extend([q, dq])
        for node, i in inside:
            node.replace_input_with(i, dq.outputs[0])


def _dequantize(
    editor: GraphEditor, codes: ir.Value, params: QParams, base: str, *, before: ir.Node
) -> ir.Value:
    inputs = [codes, *_parameters(editor, base, params)]
    node = ir.node("DequantizeLinear", inputs, attributes=_attributes(params), name=f"{base}/DQ")
    _describe(node.outputs[0], f"{base}_dq", ir.DataType.FLOAT, codes.shape)
    assert isinstance(before.graph, ir.Graph)
    before.graph.insert_before(before, node)
    return node.outputs[0]


def _attributes(params: QParams) -> dict[str, int]:
    """Of a QuantizeLinear or DequantizeLinear; those of blocks need opset 21 (ONNX operator specification)."""
    match params.granularity:
        case PerTensor():
            return {}
        case PerAxis(axis):
            return {"axis": axis}
        case PerBlock(axis, size):
            return {"axis": axis, "block_size": size}


def _drop_unread(constant: ir.Value) -> None:
    if constant.uses() or constant.is_graph_output():
        return
    producer, graph = constant.producer(), constant.graph
    if producer is not None and isinstance(producer.graph, ir.Graph):
        producer.graph.remove(producer, safe=True)
    elif isinstance(graph, ir.Graph):
        graph.initializers.pop(name_of(constant), None)


def _parameters(editor: GraphEditor, base: str, params: QParams) -> list[ir.Value]:
    scale = _constant(editor, f"{base}/scale", params.scale)
    if params.qtype == INT32:  # whose DequantizeLinear takes no zero-point (ONNX operator specification)
        return [scale]
    return [scale, _constant(editor, f"{base}/zero_point", params.zero_point)]


def _constant(editor: GraphEditor, name: str, array: Array) -> ir.Value:
    return editor.constant(name, np.ascontiguousarray(array).reshape(array.shape), reserved=True)


def _describe(value: ir.Value, name: str, dtype: ir.DataType, shape: ir.Shape | None) -> None:
    value.name, value.dtype, value.shape = name, dtype, shape


def _drop(graph: ir.Graph, absorbed: frozenset[str]) -> None:
    """Removes clamps; what they would have cut, the quantizer after them cuts."""
    for node in [node for node in graph if node.name in absorbed]:
        source = node.inputs[0]
        assert source is not None
        ir.convenience.replace_all_uses_with(node.outputs[0], source)
        graph.remove(node, safe=True)


def _fence(editor: GraphEditor, node: ir.Node) -> None:
    """Keeps quantizers from fusing into the node.

    Both runtimes fuse them with a pool, OpenVINO with arithmetic, and through Identity, Sum and Clip, but compute the
    larger of a tensor and itself. After an operator with weights, a LeakyRelu that changes nothing costs less, as it
    becomes a part of the operator; with a slope of 0, it stands for the Relu that was there.
    """
    if is_weighted(node):
        _fence_result(editor, node)
        return
    position, value = next(
        (i, v) for i, v in enumerate(node.inputs) if v is not None and constant_of(v) is None
    )
    copy = editor.node("Max", [value, value], f"{node.name}/fence", before=node)
    copy.dtype, copy.shape = ir.DataType.FLOAT, value.shape
    node.replace_input_with(position, copy)


def _fence_result(editor: GraphEditor, node: ir.Node) -> None:
    value = node.outputs[0]
    readers = [reader for reader, _ in consumers(value)]
    relu = readers[0] if len(readers) == 1 and readers[0].op_type == "Relu" else None
    fence = editor.node(
        "LeakyRelu", [value], f"{node.name}/fence", {"alpha": 0.0 if relu else 1.0}, before=readers[0]
    )
    fence.dtype, fence.shape = ir.DataType.FLOAT, value.shape
    if relu is not None:
        ir.convenience.replace_all_uses_with(relu.outputs[0], fence)
        editor.graph.remove(relu, safe=True)
        return
    for reader, i in consumers(value):
        if reader is not fence.producer():
            reader.replace_input_with(i, fence)


def _bias(editor: GraphEditor, node: ir.Node, position: int) -> None:
    """A bias that is lost in rounding, but not taken for zeros or for a single number."""
    given, weight = node.inputs[position] if len(node.inputs) > position else None, node.inputs[1]
    values = constant_of(given)
    if values is None:
        assert weight is not None
        assert weight.shape is not None
        values = np.zeros(layout_of(node).outputs(weight.shape.numpy()), np.float32)
    if not is_uniform(values):
        return  # training has made it so
    if not values.any():
        values = np.linspace(_NEXT_TO_NOTHING, 2 * _NEXT_TO_NOTHING, values.size, dtype=np.float32)
    elif values.size > 1:
        values = np.concatenate([values[:1], np.nextafter(values[1:], np.float32(0))])
    bias = editor.constant(f"{node.name}/bias", values)
    if node.op_type == "MatMul":
        replace_node(node, "Gemm", [*(value for value in node.inputs if value is not None), bias])
        return
    node.resize_inputs(max(len(node.inputs), position + 1))
    node.replace_input_with(position, bias)
    if given is not None:
        _drop_unread(given)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


@dataclass(frozen=True, kw_only=True)
class QuantizedTensor:
    """A tensor or constant of a quantized graph, as `read` finds it."""

    name: str
    constant: bool
    params: QParams


def declares_int8(node: ir.Node) -> bool:
    """Whether a node of a Q/DQ graph is between quantizers.

    All of its floats are dequantized, but for a bias and the convolution that a sum is fused with.
    """
    if node.op_type in _CONVERSIONS:
        return False
    read = [value for value in node.inputs[:2] if value is not None and _is_float(value)]
    ready = [value for value in read if _is_dequantized(value)]
    fused = node.op_type == "Add" and all(_is_product(value) for value in read if value not in ready)
    return bool(ready) and (len(ready) == len(read) or fused)


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype.is_floating_point()


def _is_dequantized(value: ir.Value) -> bool:
    node = value.producer()
    return node is not None and node.op_type == "DequantizeLinear"


def _is_product(value: ir.Value) -> bool:
    node = value.producer()
    return node is not None and is_weighted(node)


def read(model: ir.Model) -> list[QuantizedTensor]:
    """All quantizers of any Q/DQ graph: tensors first to last, and constants."""
    found = []
    for node in model.graph.all_nodes():
        if node.op_type == "QuantizeLinear":
            params = read_params(node)
            source = node.inputs[0]
            if params is not None and source is not None:
                found.append(QuantizedTensor(name=name_of(source), constant=False, params=params))
        elif node.op_type == "DequantizeLinear" and constant_of(node.inputs[0]) is not None:
            params = read_params(node)
            if params is not None:
                name = name_of(node.inputs[0]).removesuffix("_q") if node.inputs[0] else ""
                found.append(QuantizedTensor(name=name, constant=True, params=params))
    return found


def read_params(node: ir.Node) -> QParams | None:
    """Parameters of a QuantizeLinear or DequantizeLinear.

    None if they are computed, blocked, or not in integers of 8 to 32 bits.
    """
    scale = constant_of(node.inputs[1])
    zero_point = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if scale is None or scale.ndim > 1:
        return None
    if zero_point is None:
        codes = constant_of(node.inputs[0]) if node.op_type == "DequantizeLinear" else None
        zero_point = np.zeros(scale.shape, np.uint8 if codes is None else codes.dtype)
    storage = zero_point.dtype.name
    if storage not in _STORAGES:
        return None
    limits = np.iinfo(storage)
    qtype = QType(storage=storage, qmin=int(limits.min), qmax=int(limits.max))
    scale = scale.reshape(()) if scale.size == 1 and scale.ndim == 1 else scale
    axis = node.attributes.get_int("axis", 1) if scale.ndim else None
    try:
        return QParams(
            scale=scale.astype(np.float32),
            zero_point=zero_point.reshape(scale.shape),
            qtype=qtype,
            granularity=per_axis(axis),
        )
    except ValueError as error:
        name = node.name or node.outputs[0].name
        raise ModelError(
            f"{node.op_type} {name!r} has no valid parameters: {error}; make the model anew"
        ) from error
