"""Conversion of older operator sets to 17.

Per-channel DequantizeLinear needs 13, and the other passes are written for 13 and later.
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
"""Endings of names that onnx's converter creates without checking that they are free."""
_RESIZE_MODES = 11  # the first operator set whose Resize has a coordinate mode
_HARDMAX_BY_AXIS = 13  # before, Hardmax flattened its axis and all after it


def upgrade_opset(model: ir.Model, wanted: int = WANTED) -> ir.Model:
    """Model converted to opset `wanted` if it is older, else the model itself.

    A model that cannot be converted stays as it is from opset 13 on; below, ModelError names the operator.
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
    substitutes = _rename_endangered(proto.graph, weights.keys())
    reason = ""
    for target in (wanted, LEAST):
        if opset >= target:
            break
        try:
            converted = version_converter.convert_version(proto, target)
            _drop_leftovers(converted.graph)
            _check(converted)
        except Exception as error:  # the C++ converter raises several kinds; all name the operator
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(" failed: ")[-1]
            continue
        result = from_proto(converted)
        restore_weights(result, {substitutes.get(name, name): tensor for name, tensor in weights.items()})
        _restore_names(result, {new: name for name, new in substitutes.items()})
        _mend_conversion(result, opset)
        return result
    if opset < LEAST:
        raise ModelError(
            f"the model has opset {opset} and cannot be converted to {LEAST} or {wanted}: {reason}; "
            f"export it again with opset {wanted}"
        )
    return model


def _copy_for_bodies(graph: onnx.GraphProto) -> None:
    """Lets bodies read outer values through an Identity, in place.

    The converter fails to replace a node that a body reads.
    """
    inner = [node for body in list(graphs(graph))[1:] for node in body.node]
    outer_names = {name for node in inner for name in node.input}
    names = tensor_names(graph)
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        copies = {name: _free_name(f"{name}_outside", names) for name in node.output if name in outer_names}
        graph.node.extend(onnx.helper.make_node("Identity", [name], [copy]) for name, copy in copies.items())
        for reader in inner if copies else ():
            reader.input[:] = [copies.get(name, name) for name in reader.input]


def _free_name(stem: str, names: set[str]) -> str:
    """First of stem_0, stem_1, … that is not among the names; it is added to them."""
    name = next(name for i in range(len(names) + 1) if (name := f"{stem}_{i}") not in names)
    names.add(name)
    return name


def _rename_endangered(graph: onnx.GraphProto, weights: Collection[str]) -> dict[str, str]:
    """Renames, in place, tensors whose names the converter may use again; returns {old: new}.

    Inputs and outputs keep theirs. `weights`: inputs that are weights, and are renamed too.
    """
    names, parts = tensor_names(graph), list(graphs(graph))
    fixed = {value.name for part in parts for value in (*part.input, *part.output)} - set(weights)
    endangered = {name for name in names - fixed if name.endswith(_CONVERTERS_OWN)}
    renamed = {}
    for name in sorted(endangered):
        renamed[name] = next(c for i in range(len(names) + 1) if (c := f"tinyint/{i}") not in names)
        names.add(renamed[name])
    for part in parts:
        for tensor in (*part.input, *part.initializer, *part.value_info):
            tensor.name = renamed.get(tensor.name, tensor.name)
        for node in part.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
    return renamed


def _restore_names(model: ir.Model, names: dict[str, str]) -> None:
    """Renames values by {current: original}, in place; with a number where a name is taken."""
    editor = GraphEditor(model.graph)
    values = [value for node in model.graph.all_nodes() for value in (*node.inputs, *node.outputs)]
    for value in values:
        if value is not None and value.name in names:
            editor.rename(value, names[value.name])


def _drop_leftovers(graph: onnx.GraphProto) -> None:
    """Removes the attribute `value` of Pads, which the converter leaves for every mode."""
    for node in graph.node:
        if node.op_type == "Pad":
            attributes = [attribute for attribute in node.attribute if attribute.name != "value"]
            del node.attribute[:]
            node.attribute.extend(attributes)


def _check(converted: onnx.ModelProto) -> None:
    """Raises ValidationError for an operator that is invalid in the new set."""
    copy = onnx.ModelProto()
    copy.CopyFrom(converted)
    for output in copy.graph.output:  # the checker wants a shape, which may be open
        if output.type.WhichOneof("value") in (None, "tensor_type"):
            output.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(copy)


def _mend_conversion(model: ir.Model, opset: int) -> None:
    """Rewrites, in place, operators that onnx 1.23's converter leaves although their meaning changed."""
    editor = GraphEditor(model.graph)
    for node in list(model.graph.all_nodes()):
        if node.domain != "":
            continue
        if node.op_type == "Resize" and opset < _RESIZE_MODES:
            _resize_as_before(node)
        elif node.op_type == "Hardmax" and opset < _HARDMAX_BY_AXIS:
            _hardmax_as_before(editor, node)


def _resize_as_before(node: ir.Node) -> None:
    """Sets the modes of a Resize to those of ONNX Runtime's old one.

    A coordinate was divided by the scale, then rounded up if the image shrinks, else down. Raises ModelError for the
    nearest mode if one axis shrinks and another grows.
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
    """Rewrites an old Hardmax as Flatten, Hardmax and Reshape."""
    source, name = node.inputs[0], name_of(node.outputs[0])
    shape = ir.node("Shape", [source], name=editor.node_name(f"{name}/shape"))
    axis = node.attributes.get_int("axis", 1)
    flat = ir.node("Flatten", [source], {"axis": axis}, name=editor.node_name(f"{name}/flat"))
    largest = ir.node("Hardmax", flat.outputs, {"axis": -1}, name=node.name)
    for part, ending in ((shape, "shape"), (flat, "flat"), (largest, "largest")):
        editor.rename(part.outputs[0], f"{name}/{ending}")
    assert isinstance(node.graph, ir.Graph)
    node.graph.insert_before(node, [shape, flat, largest])
    replace_node(node, "Reshape", [largest.outputs[0], shape.outputs[0]]).name = editor.node_name(
        f"{name}/unflat"
    )
