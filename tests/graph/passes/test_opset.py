from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.graph.prepared import BN, F, check
from tinyint.errors import ModelError
from tinyint.graph.prepare import prepare


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 21])
def test_every_operator_set_from_eleven_on(opset: int) -> None:
    squeeze = "s = Squeeze<axes=[2,3]>(g)" if opset < 13 else "s = Squeeze(g,a)"
    axes = {} if opset < 13 else {"a": np.array([2, 3], np.int64)}
    model = build(
        f"g (float[N,4,6,6] x) => (float[N,2] y) {{ c = Conv(x,w,b) n = "
        f"BatchNormalization(c,scale,shift,mean,var)"
        f" r = Clip(n,zero) g = GlobalAveragePool(r) {squeeze} y = Gemm(s,k) }}",
        opset, w=(4, 4, 3, 3), b=(4,), k=(4, 2), zero=F(0), **axes, **BN,
    )  # fmt: skip
    prepared = check(model, ["Conv", "Relu", "GlobalAveragePool", "Squeeze", "Gemm"])
    assert prepared.opset_imports[""] == max(17, opset)


def test_other_domains_survive_the_upgrade() -> None:
    model = build(
        "g (float[N,4] x) => (float[N,4] y) { h = com.microsoft.Gelu(x) y = Clip(h,zero) }", 11, zero=F(0)
    )
    prepared = check(model, ["Gelu", "Relu"])
    assert prepared.opset_imports["com.microsoft"] == 1


def test_an_operator_that_cannot_be_converted_is_named() -> None:
    model = build("g (float[N,4] x) => (float[N,4] y) { y = NoSuchOperator(x) }", 11)
    with pytest.raises(ModelError, match=r"opset 11 .*NoSuchOperator"):
        prepare(model)
