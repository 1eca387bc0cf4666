from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tinyint.graph.ops import is_convolution, is_weighted, layout_of, weight_axis


def node(op: str, shape: tuple[int, ...], **attributes: int) -> ir.Node:
    x = ir.Value(name="x", shape=ir.Shape([None] * len(shape)))
    return ir.node(op, [x, ir.Value(name="w", shape=ir.Shape(shape))], attributes)


# Shape of the weight; groups, outputs, inputs, kernel; channels out; axes of scales, of outputs, of inputs.
LAYOUTS = [
    pytest.param("Conv", {}, (8, 4, 3, 5), (1, 8, 4, 15), 8, (0, 0, 1), id="Conv"),
    pytest.param("Conv", {"group": 2}, (8, 4, 3), (2, 4, 4, 3), 8, (0, 0, 1), id="Conv in groups"),
    pytest.param("ConvTranspose", {}, (4, 6, 2, 2), (1, 6, 4, 4), 6, (1, 1, 0), id="ConvTranspose"),
    pytest.param("ConvTranspose", {"group": 2}, (4, 6, 2), (2, 6, 2, 2), 12, (None, 1, 0), id="in groups"),
    pytest.param("Gemm", {}, (5, 7), (1, 7, 5, 1), 7, (1, 1, 0), id="Gemm"),
    pytest.param("Gemm", {"transB": 1}, (7, 5), (1, 7, 5, 1), 7, (0, 0, 1), id="Gemm, transposed"),
    pytest.param("MatMul", {}, (5, 7), (1, 7, 5, 1), 7, (1, 1, 0), id="MatMul"),
    pytest.param("MatMul", {}, (2, 3, 5, 7), (6, 7, 5, 1), 7, (None, 3, 2), id="MatMul of batches"),
    pytest.param("MatMulInteger", {}, (5, 7), (1, 7, 5, 1), 7, (None, 1, 0), id="an integer form"),
    pytest.param("QLinearConv", {"group": 4}, (4, 1, 3), (4, 1, 1, 3), 4, (None, 0, 1), id="another one"),
]


@pytest.mark.parametrize(("op", "attributes", "shape", "matrix", "outputs", "axes"), LAYOUTS)
def test_axes_of_weights(op, attributes, shape, matrix, outputs, axes) -> None:
    weighted = node(op, shape, **attributes)
    layout, rank = layout_of(weighted), len(shape)
    assert layout.matrix(np.zeros(shape)).shape == matrix
    assert layout.outputs(shape) == outputs
    assert (weight_axis(weighted), layout.output_axis(rank), layout.input_axis(rank)) == axes


def test_a_matrix_is_a_view() -> None:
    # Of group 1, the filter from input 0 of the group to output 2: w[1, 2].
    weight = np.arange(2 * 3 * 2).reshape(2, 3, 2)
    matrix = layout_of(node("ConvTranspose", (2, 3, 2), group=2)).matrix(weight)
    assert matrix[1, 2, 0].tolist() == [10, 11]
    matrix[1, 2, 0] = 0
    assert weight[1, 2].tolist() == [0, 0]


def test_operators_with_weights() -> None:
    weighted = [node(op, (2, 2)) for op in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "ConvInteger")]
    assert [is_weighted(n) for n in weighted] == [True, True, True, True, False, False]
    assert [is_convolution(n) for n in weighted] == [True, True, False, False, False, False]
    assert not is_weighted(ir.node("Conv", [], domain="com.microsoft.nchwc"))
    assert weight_axis(weighted[4]) is None
