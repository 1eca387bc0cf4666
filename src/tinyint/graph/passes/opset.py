"""Conversion of older operator sets to 17.

Per-channel DequantizeLinear needs 13, and later passes are written for 13 and up.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
import onnx_ir as ir
from onnx import version_converter

from tinyint.errors import ModelError
from tinyint.graph.dense import graphs, tensor_names
from tinyint.graph.edit import GraphEditor, replace_node
from tinyint.graph.message import OLDEST_OPSET
from tinyint.graph.names import name_of
from tinyint.graph.passes.weightless import restore_weights, weightless_proto
from tinyint.graph.serde import from_proto
from tinyint.graph.walk import constant_of

__all__ = ["upgrade_opset"]

WANTED, LEAST = 17, 13
_CONVERTERS_OWN = ("_intermediate", "_intermediate_output")
"""How names end that onnx's converter makes without looking whether they are taken."""
_RESIZE_MODES = 11  # the first operator set whose Resize says which pixel goes where
_HARDMAX_BY_AXIS = 13  # before, Hardmax flattened all axes from its own on


def upgrade_opset(model: ir.Model, wanted: int = WANTED) -> ir.Model:
    """Converted model below opset `wanted`, else the model itself.

    A model at 13 or above that cannot be converted is kept. Raises ModelError, with the operator, below that.
    """
    opset = model.opset_imports.setdefault("", WANTED)
    if opset >= wanted:
        return model
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"the model has opset {opset}; opset {OLDEST_OPSET} or later is needed: export it again"
        )
    proto, weights = weightless_proto(model)
    _copy_for_bodies(proto.graph)
    aside = _set_aside(proto.graph, weights.keys())
    reason = ""
    for target in (wanted, LEAST):
        if opset >= target:
            break
        try:
            converted = version_converter.convert_version(proto, target)
            _drop_leftovers(converted.graph)
            _check(converted)
        except (
            Exception
        ) as error:  # the C++ converter raises several kinds, all with the operator in their text
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(" failed: ")[-1]
            continue
        result = from_proto(converted)
        restore_weights(result, {aside.get(name, name): tensor for name, tensor in weights.items()})
        _call_again(result, {new: name for name, new in aside.items()})
        _mend_conversion(result, opset)
        return result
    if opset < LEAST:
        raise ModelError(
            f"the model has opset {opset} and cannot be converted to {LEAST} or {wanted}: {reason}; "
            f"export it again with opset {wanted}"
        )
    return model


def _copy_for_bodies(graph: onnx.GraphProto) -> None:
    """Copies outer values for bodies.

    The converter fails to replace a node that a body reads.
    """
    inner = [node for body in list(graphs(graph))[1:] for node in body.node]
    read = {name for node in inner for name in node.input}
    taken = tensor_names(graph)
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        copies = {name: _free(f"{name}_outside", taken) for name in node.output if name in read}
        graph.node.extend(onnx.helper.make_node("Identity", [name], [copy]) for name, copy in copies.items())
        for reader in inner if copies else ():
            reader.input[:] = [copies.get(name, name) for name in reader.input]


def _free(stem: str, taken: set[str]) -> str:
    """A name that no tensor has, and is taken from now on."""
    name = next(name for i in range(len(taken) + 1) if (name := f"{stem}_{i}") not in taken)
    taken.add(name)
    return name


def _set_aside(graph: onnx.GraphProto, weights: Collection[str]) -> dict[str, str]:
    """Give other names, returned by the old ones, to tensors whose own the converter gives without asking.

    `weights`: what is an input only now.
    """
    taken, parts = tensor_names(graph), list(graphs(graph))
    kept = {value.name for part in parts for value in (*part.input, *part.output)} - set(weights)
    own = {name for name in taken - kept if name.endswith(_CONVERTERS_OWN)}
    renamed = {}
    for name in sorted(own):
        renamed[name] = next(c for i in range(len(taken) + 1) if (c := f"tinyint/{i}") not in taken)
        taken.add(renamed[name])
    for part in parts:
        for tensor in (*part.input, *part.initializer, *part.value_info):
            tensor.name = renamed.get(tensor.name, tensor.name)
        for node in part.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
    return renamed


def _call_again(model: ir.Model, names: dict[str, str]) -> None:
    """Renames values, in place; numbered where a name is taken."""
    editor = GraphEditor(model.graph)
    values = [value for node in model.graph.all_nodes() for value in (*node.inputs, *node.outputs)]
    for value in values:
        if value is not None and value.name in names:
            editor.rename(value, names[value.name])


def _drop_leftovers(graph: onnx.GraphProto) -> None:
    """A Pad that repeats values has no use for one to fill with, and the converter keeps the attribute."""
    for node in graph.node:
        if node.op_type == "Pad":
            kept = [attribute for attribute in node.attribute if attribute.name != "value"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _check(converted: onnx.ModelProto) -> None:
    """Raises ValidationError for an operator that the new set does not have in this form."""
    checked = onnx.ModelProto()
    checked.CopyFrom(converted)
    for output in checked.graph.output:  # whose shape the checker wants, but may be open
        if output.type.WhichOneof("value") in (None, "tensor_type"):
            output.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(checked)


def _mend_conversion(model: ir.Model, opset: int) -> None:
    """What onnx 1.23's converter leaves as it is, although its meaning changed."""
    editor = GraphEditor(model.graph)
    for node in list(model.graph.all_nodes()):
        if node.domain != "":
            continue
        if node.op_type == "Resize" and opset < _RESIZE_MODES:
            _resize_as_before(node)
        elif node.op_type == "Hardmax" and opset < _HARDMAX_BY_AXIS:
            _hardmax_as_before(editor, node)


def _resize_as_before(node: ir.Node) -> None:
    """Rewrites a Resize in ONNX Runtime's old coordinates.

    Coordinates are divided by the scale; between two pixels the upper one counts where the image shrinks, else the
    lower one. Raises ModelError where one axis shrinks and another grows.
    """
    constant = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    scales = np.ones(1) if constant is None else constant.astype(np.float64)
    shrinks = bool((scales < 1).any())
    nearest = node.attributes.get_string("mode", "nearest") == "nearest"
    if nearest and shrinks and (scales > 1).any():
        raise ModelError(
            f"node {node.name or node.outputs[0].name!r} resizes by {scales.tolist()}, up and down at once, which has "
            f"no counterpart in opset {WANTED}; export the model again with opset {WANTED}"
        )
    node.attributes["coordinate_transformation_mode"] = ir.AttrString(
        "coordinate_transformation_mode", "asymmetric"
    )
    node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "ceil" if shrinks else "floor")


def _hardmax_as_before(editor: GraphEditor, node: ir.Node) -> None:
    """Hardmax over the flattened axes, between a Flatten and a Reshape."""
    source, name = node.inputs[0], name_of(node.outputs[0])
    shape = ir.node("Shape", [source], name=editor.node_name(f"{name}/shape"))
    axis = node.attributes.get_int("axis", 1)
    flat = ir.node("Flatten", [source], {"axis": axis}, name=editor.node_name(f"{name}/flat"))
    largest = ir.node("Hardmax", flat.outputs, {"axis": -1}, name=node.name)
    for made, what in ((shape, "shape"), (flat, "flat"), (largest, "largest")):
        editor.rename(made.outputs[0], f"{name}/{what}")
    assert isinstance(node.graph, ir.Graph)
    node.graph.insert_before(node, [shape, flat, largest])
    replace_node(node, "Reshape", [largest.outputs[0], shape.outputs[0]]).name = editor.node_name(
        f"{name}/unflat"
    )
