"""Tensors in the layout of convolutions."""

from __future__ import annotations

import pytest

from tests.graph.build import build
from tinyint.graph.names import name_of
from tinyint.quantization.calibration.blocked import blocked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = Conv (x, w)  b = Relu (a)  c = MaxPool <kernel_shape = [2, 2]> (b)  y = Add (c, c)", "a b c y"),
        # fused into the convolution, or not where another reads its output too
        ("a = Conv (x, w)  b = HardSigmoid (a)  y = Mul (b, b)", "a b y"),
        ("a = Conv (x, w)  b = HardSigmoid (a)  y = Mul (a, b)", "a"),
        # one operand from elsewhere
        ("a = Conv (x, w)  b = Sigmoid (x)  y = Add (a, b)", "a"),
        ("a = Softmax (x)  b = MaxPool <kernel_shape = [2, 2]> (a)  y = Relu (b)", ""),
    ],
)
def test_outputs_of_convolutions_and_what_keeps_their_layout(text: str, expected: str) -> None:
    model = build(f"net (float[1, 8, 6, 6] x) => (float[1, 8, H, W] y) {{ {text} }}", w=(8, 8, 1, 1))
    assert sorted(map(name_of, blocked(model.graph))) == expected.split()
