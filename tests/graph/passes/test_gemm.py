from __future__ import annotations

import pytest

from tests.graph.build import build
from tests.graph.prepared import BN, check


@pytest.mark.parametrize("transpose", [0, 1])
def test_gemm_takes_alpha_beta_and_the_batch_norm(transpose: int) -> None:
    model = build(
        f"g (float[N,3] x) => (float[N,4] y) {{ c = Gemm<alpha=0.5,beta=-2.0,transB={transpose}>(x,w,b)"
        " y = BatchNormalization(c,scale,shift,mean,var) }",
        w=(4, 3) if transpose else (3, 4), b=(1, 4), **BN,
    )  # fmt: skip
    prepared = check(model, ["Gemm"])
    assert prepared.graph.node(0).attributes.get_float("alpha", 1.0) == 1.0
    assert prepared.graph.node(0).inputs[2].const_value.shape == (4,)


def test_gemm_with_transposed_input_and_matrix_bias_keeps_its_batch_norm() -> None:
    text = (
        "g (float[3,2] x) => (float[2,4] y) { c = Gemm<transA=1,beta=3.0>(x,w,b) y = "
        "BatchNormalization(c,scale,shift,mean,var) }"
    )
    check(build(text, w=(3, 4), b=(2, 4), **BN), ["Gemm", "Add", "BatchNormalization"])
