"""ONNX operators in torch: one table, split into files by kind.

A row maps an operator type to a maker, which reads the node once and returns a function of tensors. The reference is
the ONNX operator specification; its test cases are the tests.
"""

from __future__ import annotations

from tinyint.torch_graph.operators import (
    activation,
    attention,
    conv,
    create,
    deform,
    detection,
    elementwise,
    index,
    logic,
    norm,
    pool,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
)
from tinyint.torch_graph.operators.node import Function, Maker, Node, to_tensor
from tinyint.torch_graph.operators.numbers import NUMBERS

__all__ = ["NUMBERS", "OPERATORS", "Function", "Maker", "Node", "to_tensor"]

OPERATORS: dict[str, Maker] = {
    **elementwise.OPERATORS,
    **logic.OPERATORS,
    **activation.OPERATORS,
    **conv.OPERATORS,
    **deform.OPERATORS,
    **pool.OPERATORS,
    **norm.OPERATORS,
    **reduce.OPERATORS,
    **shape.OPERATORS,
    **create.OPERATORS,
    **index.OPERATORS,
    **resize.OPERATORS,
    **detection.OPERATORS,
    **quantization.OPERATORS,
    **recurrent.OPERATORS,
    **attention.OPERATORS,
}
