from __future__ import annotations

import pytest

from tests.graph.build import build
from tests.graph.prepared import check


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
