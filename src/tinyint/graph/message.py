"""Conversion of a model's message to a checked graph in one form."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.dense import graphs, make_dense
from tinyint.graph.serde import from_proto, to_proto
from tinyint.graph.soundness import in_order, require_sound, sort_nodes

__all__ = ["OLDEST_OPSET", "has_closed_inputs", "open_dimensions", "read_message", "settled"]

OLDEST_OPSET = 7
"""The oldest operator set that is accepted."""

_UNREADABLE = (
    ir.serde.SerdeError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RuntimeError,
)  # fmt: skip


def read_message(proto: onnx.ModelProto, label: str) -> ir.Model:
    """Converts a message, which is changed in the process, to a graph.

    `load_model` states the graph's properties. Raises ModelError, with the place, for a message that breaks a rule of
    ONNX or is older than opset 7.
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
    """Model in the form of `read_message`: itself if it has that form, else converted.

    Raises ModelError as `read_message` does.
    """
    is_complete = all(_has_source(value, graph) for graph in model.graphs() for value in graph.outputs)
    if is_complete and in_order(model) and not has_closed_inputs(model):
        return model
    return read_message(to_proto(model), label)


def _plain_domain(proto: onnx.ModelProto) -> None:
    """Replaces the domain `ai.onnx` by its other name, the empty one, in place."""
    for holder in (proto, *proto.functions):
        for entry in holder.opset_import:
            if entry.domain == "ai.onnx":
                entry.domain = ""
    for body in (*graphs(proto.graph), *proto.functions):
        for node in body.node:
            if node.domain == "ai.onnx":
                node.domain = ""


def _declare_as_inputs(graph: onnx.GraphProto) -> None:
    """Copies the declared type of an input to an output of the same name.

    In the graph, the two are one value.
    """
    inputs = {value.name: value for value in graph.input}
    for output in graph.output:
        if output.name in inputs:
            output.type.CopyFrom(inputs[output.name].type)


def _has_source(value: ir.Value, graph: ir.Graph) -> bool:
    """Whether the value is an input, an initializer or a node's output in this graph."""
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

    Some exporters write such a number for an unknown dimension.
    """
    values = {value for node in model.graph.all_nodes() for value in node.outputs}
    for value in (*model.graph.inputs, *model.graph.outputs, *values):
        if _closed(value) and value.const_value is None and value.shape is not None:
            value.shape = ir.Shape(
                [None if isinstance(dim, int) and dim <= 0 else dim for dim in value.shape]
            )


def _root(error: BaseException) -> str:
    """First line of the root cause of an error of onnx_ir."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
