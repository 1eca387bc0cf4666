from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.graph.prepared import check


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keep", [0, 1])
def test_mean_over_the_image_is_a_global_pool(keep: int, opset: int) -> None:
    shape = "N,4,1,1" if keep else "N,4"
    call = (
        f"ReduceMean<keepdims={keep},axes=[-1,2]>(x)" if opset < 18 else f"ReduceMean<keepdims={keep}>(x,a)"
    )
    constant = {"a": np.array([3, 2], np.int64)} if opset >= 18 else {}
    model = build(f"g (float[N,4,6,6] x) => (float[{shape}] y) {{ y = {call} }}", opset, **constant)
    check(model, ["GlobalAveragePool"] if keep else ["GlobalAveragePool", "Flatten"])


@pytest.mark.parametrize("axes", ["[1,2]", "[2]"])
def test_other_means_stay(axes: str) -> None:
    check(
        build(f"g (float[N,4,6,6] x) => (float[N,a,b,c] y) {{ y = ReduceMean<axes={axes}>(x) }}"),
        ["ReduceMean"],
    )
