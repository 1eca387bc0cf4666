from __future__ import annotations

import numpy as np
import pytest

from tests.graph.build import build, operators
from tests.graph.prepared import BN, F, check
from tinyint.graph.prepare import prepare

UNROLLED = ["Reshape", "Gather", "Transpose", "Reshape", "Div", "Sum", "GridSample"]


@pytest.mark.parametrize("opset", [19, 22])
def test_deformable_convolution_is_sampling_and_a_convolution(opset: int) -> None:
    text = (
        "g (float[N,4,7,6] x, float[N,18,4,3] o, float[N,9,4,3] m) => (float[N,6,4,3] y) { d = "
        "DeformConv<kernel_shape=[3,3],pads=[1,1,1,1],strides=[2,2]>(x,w,o,b,m) y = "
        "BatchNormalization(d,scale,shift,mean,var) }"
    )
    norm = {name: np.full(6, value, F) for name, value in zip(BN, (2, 1, 0.5, 3), strict=True)}
    model = build(text, opset, w=(6, 4, 3, 3), b=(6,), **norm)
    prepared = check(model, [*UNROLLED, "Reshape", "Mul", "Reshape", "Conv"], 1e-4)
    assert [node.op_type for node in prepare(prepared).graph] == operators(prepared)


def test_deformable_convolution_in_groups_with_holes() -> None:
    text = (
        "g (float[N,8,6,6] x, float[N,24,5,4] o) => (float[N,4,5,4] y) "
        "{ y = DeformConv<pads=[1,0,0,0],dilations=[1,2],group=4,offset_group=2>(x,w,o) }"
    )
    order = [*UNROLLED[:-1], "Reshape", "GridSample", "Reshape", "Conv"]
    check(build(text, 19, w=(4, 2, 3, 2)), order, 1e-4)


def test_places_of_taps_are_halves_of_the_image() -> None:
    # one tap, no padding, an image of 4 × 2 pixels: the centre of pixel 1 of 4 is at (2·1 + 1)/4 - 1 = -0.25
    text = "g (float[1,1,4,2] x, float[1,2,4,2] o) => (float[1,1,4,2] y) { y = DeformConv(x,w,o) }"
    prepared = prepare(build(text, 19, w=(1, 1, 1, 1)))
    (name,) = (name for name in prepared.graph.initializers if name.endswith("/taps"))
    places = prepared.graph.initializers[name].const_value.numpy()
    assert places[0, :, :, 0].tolist() == [[-0.5, 0.5]] * 4
    assert places[0, :, 0, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_deformable_convolution_of_open_size_stays() -> None:
    text = "g (float[1,1,H,W] x, float[1,2,H,W] o) => (float[1,1,H,W] y) { y = DeformConv(x,w,o) }"
    assert operators(prepare(build(text, 19, w=(1, 1, 1, 1)))) == ["DeformConv"]
