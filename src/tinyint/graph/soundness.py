"""Checks of a model's message: one definition per name, valid nodes.

Nodes may come in any order, as ONNX Runtime accepts; `sort_nodes` sorts them. The inputs and attributes of each
operator are checked by onnx's checker, which ONNX Runtime uses too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import onnx
import onnx_ir as ir

from tinyint.errors import ModelError
from tinyint.graph.names import name_of
from tinyint.graph.walk import inner_nodes

__all__ = ["in_order", "require_sound", "sort_nodes"]

Names: TypeAlias = frozenset[str]
_NO_VERSION = 1 << 31  # the checker keeps operator versions in 32 bits


def require_sound(proto: onnx.ModelProto, label: str) -> None:
    """Raises ModelError, with the node or tensor, for an unsound model.

    The faults are a name that is undefined, defined twice or not UTF-8, an output without a producer, and a node that
    breaks the rules of its operator.
    """
    for entry in proto.opset_import:
        if not 0 < entry.version < _NO_VERSION:
            raise _violation(
                label, f"it asks for version {entry.version} of the operators of {entry.domain!r}"
            )
    rules = onnx.checker.C.CheckerContext()
    rules.ir_version = min(max(proto.ir_version, 3), _NO_VERSION - 1)
    rules.opset_imports = {_text(entry.domain, label): entry.version for entry in proto.opset_import}
    if not proto.graph.output:
        raise _violation(label, "it has no outputs")
    _check_graph(proto.graph, frozenset(), rules, label)
    for function in proto.functions:
        place = f"function {_text(function.name, label)!r} of {label}"
        names = _defined_names(function.input, function.node, place)
        _check_nodes(function.node, names, rules, place)
        _check_outputs(function.output, names, place)


def _check_graph(graph: onnx.GraphProto, outer: Names, rules: object, label: str) -> None:
    inputs = [_text(value.name, label) for value in graph.input]
    constants = [tensor.name for tensor in graph.initializer]
    constants += [tensor.values.name for tensor in graph.sparse_initializer]
    _require_unique(inputs, "input", label)
    _require_unique([_text(name, label) for name in constants], "initializer", label)
    for tensor in graph.initializer:
        _require_type(tensor, f"initializer {tensor.name!r}", label)
    _require_unique([_text(value.name, label) for value in graph.output], "output", label)
    names = outer | _defined_names(dict.fromkeys([*inputs, *constants]), graph.node, label)
    _check_nodes(graph.node, names, rules, label)
    _check_outputs([value.name for value in graph.output], names - outer, label)


def _defined_names(sources: Iterable[str], nodes: Iterable[onnx.NodeProto], label: str) -> Names:
    """Names of the sources (inputs, initializers) and of the nodes' outputs, each once."""
    makers = dict.fromkeys(sources, "an input or initializer")
    for node in nodes:
        for name in node.output:
            if not name:
                continue
            if name in makers:
                raise _violation(
                    label, f"tensor {name!r} is made by {_node_label(node)} and by {makers[name]}"
                )
            makers[_text(name, label)] = _node_label(node)
    return frozenset(makers)


def _check_nodes(nodes: Iterable[onnx.NodeProto], names: Names, rules: object, label: str) -> None:
    for node in nodes:
        for text in (node.op_type, node.domain, node.name):
            _text(text, label)
        for name in node.input:
            if name and name not in names:
                raise _violation(
                    label, f"{_node_label(node)} reads {name!r}, which nothing in the graph makes"
                )
        bodies = list(_bodies(node, label))
        for body in bodies:
            _check_graph(body, names, rules, f"the body {body.name!r} of {_node_label(node)} in {label}")
        if bodies:
            _check_inputs(node, label)
        else:
            _check_rules(node, rules, label)


def _bodies(node: onnx.NodeProto, label: str) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        name = _text(attribute.name, label)
        if attribute.type == onnx.AttributeProto.UNDEFINED:
            raise _violation(label, f"attribute {name!r} of {_node_label(node)} has no type")
        if attribute.type == onnx.AttributeProto.GRAPH and not attribute.ref_attr_name:
            yield attribute.g
        yield from attribute.graphs
        if attribute.type == onnx.AttributeProto.TENSOR and not attribute.ref_attr_name:
            _require_type(attribute.t, f"attribute {name!r} of {_node_label(node)}", label)
        if attribute.type == onnx.AttributeProto.STRING:
            _check_utf8(attribute.s, node, name, label)


def _check_inputs(node: onnx.NodeProto, label: str) -> None:
    """Checks the number of inputs of a node with bodies.

    onnx's checker is not asked about these: it would not know the outer names that a body reads.
    """
    if node.domain not in ("", "ai.onnx"):
        return
    least = {"If": 1, "Loop": 2, "Scan": 1, "SequenceMap": 1}.get(node.op_type)
    if least is None:
        raise _violation(label, f"{_node_label(node)} has a graph in an attribute")
    if len(node.input) < least:
        raise _violation(label, f"{_node_label(node)} has {len(node.input)} inputs; expected {least} or more")


def _check_rules(node: onnx.NodeProto, rules: object, label: str) -> None:
    if node.domain not in ("", "ai.onnx"):
        return
    if node.op_type == "Constant":  # whose value may lie in another file, where the checker would look for it
        if len(node.attribute) != 1 or not node.attribute[0].name.startswith(("value", "sparse_value")):
            raise _violation(
                label, f"{_node_label(node)} has not one value, but {len(node.attribute)} attributes"
            )
        return
    version = rules.opset_imports.get("")  # type: ignore[attr-defined]
    if version is None or not onnx.defs.has(node.op_type, version, ""):
        return  # whoever runs it says whether the operator is known
    try:
        onnx.checker.check_node(node, rules)  # type: ignore[arg-type]
    except onnx.checker.ValidationError as error:
        raise _violation(label, f"{_node_label(node)}: {str(error).strip().splitlines()[0]}") from error


def _require_type(tensor: onnx.TensorProto, what: str, label: str) -> None:
    if tensor.data_type == onnx.TensorProto.UNDEFINED:
        raise _violation(label, f"{what} is a tensor without a type")


def _check_utf8(content: bytes, node: onnx.NodeProto, name: str, label: str) -> None:
    if node.domain not in ("", "ai.onnx"):
        return  # whose strings may be anything
    try:
        content.decode()
    except UnicodeDecodeError:
        if node.op_type != "Constant":
            raise _violation(
                label, f"attribute {name!r} of {_node_label(node)} is no text: {content[:40]!r}"
            ) from None


def _check_outputs(outputs: Iterable[str], names: Names, label: str) -> None:
    for name in outputs:
        if _text(name, label) not in names:
            raise _violation(label, f"no node makes its output {name!r}")


def _require_unique(names: list[str], what: str, label: str) -> None:
    previous: set[str] = set()
    for name in names:
        if name in previous:
            raise _violation(label, f"{what} {name!r} is defined twice")
        previous.add(name)


def _text(name: object, label: str) -> str:
    """The name, checked to be text: protobuf gives bytes where it is not UTF-8."""
    if not isinstance(name, str):
        raise _violation(label, f"the name {name!r} is no text")
    return name


def _node_label(node: onnx.NodeProto) -> str:
    outputs = ", ".join(repr(name) for name in node.output)
    return f"node {node.name!r} ({node.op_type})" if node.name else f"the {node.op_type} that makes {outputs}"


def _violation(label: str, what: str) -> ModelError:
    return ModelError(f"{label} breaks a rule of ONNX: {what}; export or copy it again")


def in_order(model: ir.Model) -> bool:
    """Whether each node of each graph comes after its producers."""
    graphs: list[ir.Graph | ir.Function] = [*model.graphs(), *model.functions.values()]
    return all(_is_sorted(graph) for graph in graphs)


def _is_sorted(graph: ir.Graph | ir.Function) -> bool:
    previous: set[ir.Node] = set()
    for node in graph:
        for inner in (node, *inner_nodes(node)):
            for value in inner.inputs:
                producer = None if value is None else value.producer()
                if producer is not None and producer.graph is graph and producer not in previous:
                    return False
        previous.add(node)
    return True


def sort_nodes(model: ir.Model, label: str) -> None:
    """Sorts the nodes topologically, in place; raises ModelError for a cycle."""
    if in_order(model):
        return
    try:
        model.graph.sort()
        for function in model.functions.values():
            function.sort()
    except ValueError as error:
        node = _node_on_cycle(model.graph)
        raise _violation(label, f"its nodes read each other in a circle, node {node!r} among them") from error


def _node_on_cycle(graph: ir.Graph) -> str:
    """Name of a node that waits for itself, or for one that does."""
    waiting = list(graph)
    while True:
        missing = {value for node in waiting for value in node.outputs}
        blocked = [
            node
            for node in waiting
            if any(value in missing for inner in (node, *inner_nodes(node)) for value in inner.inputs)
        ]
        if len(blocked) == len(waiting):
            return (blocked[0].name or name_of(blocked[0].outputs[0])) if blocked else ""
        waiting = blocked
