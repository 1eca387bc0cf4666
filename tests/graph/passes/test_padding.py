from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build
from tests.graph.prepared import KERNEL, F, check


@pytest.mark.parametrize("opset", [17, 18])
def test_padding_goes_into_the_convolution(opset: int) -> None:
    axes = ", , axes" if opset >= 18 else ""
    pads = {"p": np.array([2, 1], np.int64), "axes": np.array([-2], np.int64)}
    if opset < 18:
        pads = {"p": np.array([0, 0, 2, 0, 0, 0, 1, 0], np.int64)}
    text = f"g (float[N,4,6,6] x) => (float[N,4,9,6] y) {{ q = Pad(x,p{axes}) y = Conv<{KERNEL}>(q,w) }}"
    check(build(text, opset, w=(4, 4, 3, 3), **pads), ["Conv"])


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_padding_joins_automatic_padding_of_stride_one(auto: str) -> None:
    # a kernel of extent 4 keeps the size with 3 zeros, the odd one at the end (upper) or the beginning (lower)
    text = f"""g (float[N,2,6,6] x) => (float[N,2,9,8] y) {{ q = Pad(x,p)
        y = Conv<auto_pad="{auto}">(q,w) }}"""
    model = build(text, w=(2, 2, 4, 3), p=np.array([0, 0, 1, 0, 0, 0, 2, 2], np.int64))
    prepared = check(model, ["Conv"])
    before, after = (1, 2) if auto == "SAME_UPPER" else (2, 1)
    assert list(prepared.graph.node(0).attributes.get_ints("pads")) == [1 + before, 0 + 1, 2 + after, 2 + 1]


def test_padding_stays_before_automatic_padding_that_depends_on_the_size() -> None:
    text = """g (float[N,2,6,6] x) => (float[N,2,4,4] y) { q = Pad(x,p)
        y = Conv<auto_pad="SAME_UPPER",strides=[2,2]>(q,w) }"""
    check(build(text, w=(2, 2, 3, 3), p=np.array([0, 0, 1, 0, 0, 0, 1, 2], np.int64)), ["Pad", "Conv"])


@pytest.mark.parametrize("fault", ["value", "channel", "negative", "reflect"])
def test_padding_that_is_not_zeros_around_the_image_stays(fault: str) -> None:
    pads = [0, 1 if fault == "channel" else 0, 1, 1, 0, 0, 1, -1 if fault == "negative" else 1]
    mode = "<mode='reflect'>".replace("'", '"') if fault == "reflect" else ""
    text = f"g (float[1,4,6,6] x) => (float[1,4,h,w] y) {{ q = Pad{mode}(x,p,v) y = Conv(q,k) }}"
    kernel = (4, 5 if fault == "channel" else 4, 3, 3)
    model = build(text, k=kernel, p=np.array(pads, np.int64), v=F(1 if fault == "value" else 0))
    check(model, ["Pad", "Conv"])
