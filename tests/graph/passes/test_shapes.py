"""Types and shapes after operators for which the ONNX library has no inference."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, run
from tinyint.graph.prepare import prepare


@pytest.mark.parametrize(
    ("opset", "line", "scales"),
    [
        (18, "n = GroupNormalization <num_groups = 2> (x, scale, bias)", 2),
        (21, "n = GroupNormalization <num_groups = 2> (x, scale, bias)", 4),
        (17, "n = MeanVarianceNormalization <axes = [2, 3]> (x)", 4),
        (17, "n = LpNormalization <axis = 1> (x)", 4),
        (17, "n = com.microsoft.Gelu (x)", 4),
    ],
)
def test_values_after_such_an_operator_have_types_and_shapes(opset: int, line: str, scales: int) -> None:
    vector = np.ones(scales, np.float32)
    text = f"net (float[2, 4, 6, 6] x) => (float[A, B, C, D] y) {{ {line} y = Conv (n, w) }}"
    model = build(text, opset, w=(5, 4, 3, 3), scale=vector, bias=vector)
    (conv,) = [node for node in prepare(model).graph if node.op_type == "Conv"]
    read, made = conv.inputs[0], conv.outputs[0]
    assert read is not None
    assert (read.dtype, read.shape) == (ir.DataType.FLOAT, (2, 4, 6, 6))
    assert made.shape == run(model, feeds_of(model))[0].shape
