from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.graph.prepared import IMAGE, F, check


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Clip(x,zero)", "Relu"),
        ("y = Clip(x,zero,inf)", "Relu"),
        ("y = Max(x,zero)", "Relu"),
        ("y = Max(zero,x)", "Relu"),
        ("y = Clip(x,zero,six)", "Clip"),
        ("y = Clip(x, ,six)", "Clip"),
        ("y = Max(x,six)", "Max"),
    ],
)
def test_forms_of_relu(body: str, expected: str) -> None:
    constants = {"zero": F(0), "six": F(6), "inf": F(np.inf)}
    check(build(f"{IMAGE} {{ {body} }}", **{k: v for k, v in constants.items() if k in body}), [expected])
