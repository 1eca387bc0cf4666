"""From a model's message to the graph: checked once, in one form."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.dense import graphs, make_dense
from tinyint.graph.serde import from_proto, to_proto
from tinyint.graph.soundness import in_order, require_sound, sort_nodes

__all__ = ["OLDEST_OPSET", "has_closed_inputs", "open_dimensions", "read_message", "settled"]

OLDEST_OPSET = 7
"""The first operator set that is read."""

_UNREADABLE = (
    ir.serde.SerdeError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RuntimeError,
)  # fmt: skip


def read_message(proto: onnx.ModelProto, label: str) -> ir.Model:
    """Graph of a message, which is changed on the way.

    See `load_model` for its properties.

    Raises ModelError for what breaks a rule of ONNX or is older than opset 7, with the place.
    """
    _plain_domain(proto)
    _declare_as_inputs(proto.graph)
    opset = next((entry.version for entry in proto.opset_import if entry.domain == ""), None)
    if opset is not None and opset < OLDEST_OPSET:
        raise ModelError(
            f"{label} has opset {opset}; opset {OLDEST_OPSET} or later is needed: export it again"
        )
    require_sound(proto, label)
    make_dense(proto, label)
    try:
        model = from_proto(proto)
    except _UNREADABLE as error:
        raise ModelError(f"{label} is damaged: {_root(error)}; copy or export it again") from error
    sort_nodes(model, label)
    open_dimensions(model)
    return model


def settled(model: ir.Model, label: str) -> ir.Model:
    """Model as `read_message` leaves one: itself, or a converted one.

    Raises as `read_message` does.
    """
    whole = all(_is_made(value, graph) for graph in model.graphs() for value in graph.outputs)
    if whole and in_order(model) and not has_closed_inputs(model):
        return model
    return read_message(to_proto(model), label)


def _plain_domain(proto: onnx.ModelProto) -> None:
    """`ai.onnx` is another name for the domain of ONNX's own operators."""
    for holder in (proto, *proto.functions):
        for entry in holder.opset_import:
            if entry.domain == "ai.onnx":
                entry.domain = ""
    for body in (*graphs(proto.graph), *proto.functions):
        for node in body.node:
            if node.domain == "ai.onnx":
                node.domain = ""


def _declare_as_inputs(graph: onnx.GraphProto) -> None:
    """Gives outputs that are inputs the declared shape of the input.

    In the graph, they are one value.
    """
    inputs = {value.name: value for value in graph.input}
    for output in graph.output:
        if output.name in inputs:
            output.type.CopyFrom(inputs[output.name].type)


def _is_made(value: ir.Value, graph: ir.Graph) -> bool:
    producer = value.producer()
    return (
        value in graph.inputs or value.is_initializer() or (producer is not None and producer.graph is graph)
    )


def has_closed_inputs(model: ir.Model) -> bool:
    """Whether a dimension of an input is declared as 0 or less."""
    return any(_closed(value) for value in model.graph.inputs)


def _closed(value: ir.Value) -> bool:
    return value.shape is not None and any(isinstance(dim, int) and dim <= 0 for dim in value.shape)


def open_dimensions(model: ir.Model) -> None:
    """Opens, in place, every declared dimension of 0 or less.

    So exporters say that they do not know it.
    """
    values = {value for node in model.graph.all_nodes() for value in node.outputs}
    for value in (*model.graph.inputs, *model.graph.outputs, *values):
        if _closed(value) and value.const_value is None and value.shape is not None:
            value.shape = ir.Shape(
                [None if isinstance(dim, int) and dim <= 0 else dim for dim in value.shape]
            )


def _root(error: BaseException) -> str:
    """The first cause, with the place that onnx_ir names on the way to it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
