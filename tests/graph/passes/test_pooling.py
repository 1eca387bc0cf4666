from __future__ import annotations

import pytest

from tests.graph.build import build
from tests.graph.prepared import check
from tinyint.graph.walk import static_shape


@pytest.mark.parametrize(
    ("size", "attributes", "dropped"),
    [
        ((8, 6), "kernel_shape=[2,2],strides=[2,2]", True),
        ((7, 6), "kernel_shape=[2,2],strides=[2,2]", False),
        ((7, 9), "kernel_shape=[3,3],strides=[2,2],pads=[0,0,0,0]", True),
        ((7, 8), "kernel_shape=[3,3],strides=[2,2],pads=[1,0,1,1]", True),
        ((7, 8), "kernel_shape=[3,3],strides=[2,2]", False),
    ],
)
def test_ceil_mode_goes_where_the_windows_fit(size: tuple[int, int], attributes: str, dropped: bool) -> None:
    height, width = size
    text = f"g (float[N,2,{height},{width}] x) => (float[N,2,h,w] y) {{ y = AveragePool<ceil_mode=1,{attributes}>(x) }}"
    prepared = check(build(text, 19), ["AveragePool"])
    assert ("ceil_mode" not in next(iter(prepared.graph)).attributes) is dropped


@pytest.mark.parametrize("opset", [17, 21, 22])
@pytest.mark.parametrize(
    ("attributes", "found", "operators"),
    [
        ("kernel_shape=[1,1],strides=[3,3]", (2, 2), ["{}"]),  # windows begin at 0 and 3
        ("kernel_shape=[1,2],strides=[3,3]", (2, 2), ["{}"]),  # the second column of windows stands out
        ("kernel_shape=[1,2],strides=[3,4]", (2, 1), ["{}"]),  # none begins after the image
        ("kernel_shape=[1,1],strides=[2,2]", (2, 2), ["{}"]),
        ("kernel_shape=[1,3],strides=[2,2]", (2, 2), ["Slice", "{}"]),  # no window reads the last row
        ("kernel_shape=[2,3],strides=[2,2],pads=[0,0,1,0]", (2, 2), ["{}"]),  # nor this padding
    ],
)
@pytest.mark.parametrize("op", ["AveragePool", "MaxPool", "LpPool"])
def test_sizes_rounded_up_are_those_that_the_runtime_gives(
    op: str, attributes: str, found: tuple[int, int], operators: list[str], opset: int
) -> None:
    """Up to opset 21, ONNX infers a further row or column where none begins in the image."""
    if op == "LpPool" and opset < 18:
        pytest.skip("LpPool has ceil_mode from opset 18 on")
    text = f"g (float[1,2,4,4] x) => (float[1,2,h,w] y) {{ y = {op}<ceil_mode=1,{attributes}>(x) }}"
    prepared = check(build(text, opset), [name.format(op) for name in operators])
    assert static_shape(prepared.graph.outputs[0]) == (1, 2, *found)


def test_shapes_declared_and_folded_after_a_pool_have_its_true_size() -> None:
    text = """g (float[1,2,4,4] x) => (float[1,2,3,3] y, int64[4] s)
        { p = MaxPool<ceil_mode=1,kernel_shape=[1,1],strides=[2,2],pads=[0,0,0,0]>(x)
          q = AveragePool<ceil_mode=1,kernel_shape=[1,1],strides=[3,3]>(p)  n = Neg(q)  y = Exp(n)  s = Shape(n) }"""
    prepared = check(build(text, 17), ["MaxPool", "AveragePool", "Neg", "Exp", "Shape"])
    assert static_shape(prepared.graph.outputs[0]) == (1, 2, 1, 1)


@pytest.mark.parametrize(
    ("attributes", "dropped"),
    [
        ("kernel_shape=[3,3],strides=[2,2]", True),
        (
            "kernel_shape=[3,3],strides=[2,2],ceil_mode=1",
            True,
        ),  # what stands out of the image is never counted
        ("kernel_shape=[3,3],pads=[0,0,0,0]", True),
        ('kernel_shape=[3,3],auto_pad="VALID"', True),
        ('kernel_shape=[3,3],auto_pad="SAME_UPPER"', False),
        ("kernel_shape=[3,3],pads=[0,1,0,0]", False),
        ("kernel_shape=[3,3],pads=[1,1,1,1],strides=[2,2],ceil_mode=1", False),
    ],
)
def test_counting_the_padding_goes_where_there_is_none(attributes: str, dropped: bool) -> None:
    text = f"g (float[N,2,8,6] x) => (float[N,2,h,w] y) {{ y = AveragePool<count_include_pad=1,{attributes}>(x) }}"
    prepared = check(build(text, 19), ["AveragePool"])
    assert ("count_include_pad" not in next(iter(prepared.graph)).attributes) is dropped
