"""Integer matrix products in double precision, in which no sum saturates."""

from __future__ import annotations

import onnx_ir as ir

from tinyint.graph.edit import GraphEditor

__all__ = ["exact_products"]


def exact_products(model: ir.Model) -> ir.Model:
    """Copy of the model with MatMulInteger as MatMul of doubles, cast to int32.

    Doubles hold sums of 8-bit products exactly, up to 2⁵³; kernels on x86 without VNNI saturate sums of two. A product
    whose first operand has a zero-point per row stays. Without any to replace, the model itself is returned.
    """
    if not any(_is_replaced(node) for node in model.graph):
        return model
    copy = model.clone()
    editor = GraphEditor(copy.graph)
    for node in list(copy.graph):
        if _is_replaced(node):
            _replace(editor, node)
    return copy


def _is_replaced(node: ir.Node) -> bool:
    if node.op_type != "MatMulInteger" or node.domain != "":
        return False
    zero_point = node.inputs[2] if len(node.inputs) > 2 else None
    return (
        zero_point is None
        or (zero_point.shape is not None and len(zero_point.shape) == 0)
        or _is_dynamic(zero_point)
    )


def _is_dynamic(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "DynamicQuantizeLinear"


def _replace(editor: GraphEditor, node: ir.Node) -> None:
    def add(op_type: str, inputs: list[ir.Value], part: str, **attributes: int) -> ir.Value:
        return editor.node(op_type, inputs, f"{node.name}/{part}", attributes, before=node)

    operands = []
    for i, side in enumerate(("left", "right")):
        value = node.inputs[i]
        assert value is not None
        operand = add("Cast", [value], side, to=int(ir.DataType.DOUBLE))
        zero_point = node.inputs[2 + i] if len(node.inputs) > 2 + i else None
        if zero_point is not None:
            shift = add("Cast", [zero_point], f"{side}_zero_point", to=int(ir.DataType.DOUBLE))
            operand = add("Sub", [operand, shift], f"{side}_shifted")
        operands.append(operand)
    result = add("Cast", [add("MatMul", operands, "product")], "sum", to=int(ir.DataType.INT32))
    node.outputs[0].replace_all_uses_with(result, replace_graph_outputs=True)
    editor.graph.remove(node, safe=True)
