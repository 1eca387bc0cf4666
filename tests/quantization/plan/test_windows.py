"""Pools and convolutions that stay in float for their windows, and what keeps the runtime from taking them anyway."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan import Plan, plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

SAME = "kernel_shape=[3,3],pads=[1,1,1,1]"
ORT, OPENVINO = "x86-vnni", "openvino-vnni"


def pool(
    attributes: str, *, size: object = 8, channels: int = 16, batch: object = "N", between: str = ""
) -> ir.Model:
    """Two convolutions with a pool between them, and before that what reads `c` and gives `m`."""
    text = (
        f"g (float[{batch},3,{size},{size}] x) => (float[{batch},4,h,w] y) {{ [a] c = Conv(x,v) "
        f"{between or '[idle] m = Relu(c)'} [pool] p = AveragePool<{attributes}>(m) [b] y = Conv(p,w) }}"
    )
    return prepare(build(text, 19, v=(channels, 3, 1, 1), w=(4, channels, 1, 1)))


def planned(target: str, model: ir.Model) -> Plan:
    return plan(model, get_target(target), Recipe.load("default"))


@pytest.mark.parametrize(
    ("attributes", "on_ort", "on_openvino"),
    [
        ("kernel_shape=[3,3]", None, None),
        (SAME, None, None),
        ("kernel_shape=[3,3],pads=[0,1,2,0]", None, None),
        (f"{SAME},count_include_pad=1", None, "takes bytes of 0 for the zeros of padding"),
        ('kernel_shape=[3,3],auto_pad="SAME_UPPER",count_include_pad=1', None, "takes bytes of 0"),
        ("kernel_shape=[3,3],count_include_pad=1", None, None),
        ("kernel_shape=[3,3],strides=[2,2],ceil_mode=1", None, "has no ceil_mode"),
        ("kernel_shape=[2,2],strides=[2,2],ceil_mode=1", None, None),  # they fit
        ("kernel_shape=[3,3],strides=[2,2],ceil_mode=1,count_include_pad=1", None, "has no ceil_mode"),
        (
            f"{SAME},strides=[2,2],ceil_mode=1,count_include_pad=1",
            "divides windows that stand out",
            "no ceil_mode",
        ),
        ("kernel_shape=[2,2],dilations=[2,2]", "has no dilations", "has no dilations"),
        ("kernel_shape=[2,2],dilations=[1,1]", None, None),
    ],
)
def test_windows_that_a_kernel_does_not_take_run_in_float(
    attributes: str, on_ort: str | None, on_openvino: str | None
) -> None:
    for target, reason in (
        (ORT, on_ort),
        ("arm64", on_ort),
        (OPENVINO, on_openvino),
        ("openvino-avx2", on_openvino),
    ):
        found = planned(target, pool(attributes)).float_nodes.get("pool")
        assert reason in found if reason and found else (found, reason) == (None, None), target


@pytest.mark.parametrize(
    ("channels", "batch", "size", "kernel", "runs"),
    [
        (16, "N", 8, 8, True),
        (15, "N", 8, 8, False),  # 15 elements where N is 1
        (15, 2, 8, 8, True),
        (4, "N", 8, 4, True),  # 25 positions
        (4, "N", 8, 7, True),  # 16 elements
        (3, "N", 8, 7, False),
        (15, "N", '"s"', 2, False),
        (16, "N", '"s"', 2, True),
    ],
)
def test_openvino_averages_to_few_elements_in_float(
    channels: int, batch: object, size: object, kernel: int, runs: bool
) -> None:
    model = pool(
        f"kernel_shape=[{kernel},{kernel}]", size=str(size).strip('"'), channels=channels, batch=batch
    )
    reason = planned(OPENVINO, model).float_nodes.get("pool")
    assert reason is None if runs else "fewer than 16 elements" in (reason or "")
    assert "pool" in planned(ORT, model).int8_nodes


@pytest.mark.parametrize(
    ("between", "on_openvino"),
    [
        ("[idle] m = Relu(c)", False),  # the convolution gives floats to the pool
        ("[max] m = MaxPool<kernel_shape=[2,2]>(c)", False),
        ("[s] t = Sigmoid(c) [gate] m = Mul(c,t)", True),
        ("[s] t = Sigmoid(c) [gate] u = Mul(c,t) [turn] m = Transpose<perm=[0,1,3,2]>(u)", True),
    ],
)
def test_a_fence_stands_where_bytes_reach_such_a_pool(between: str, on_openvino: bool) -> None:
    model = pool("kernel_shape=[2,2],dilations=[2,2]", between=between)
    assert planned(ORT, model).fenced == {"pool"}
    assert planned(OPENVINO, model).fenced == ({"pool"} if on_openvino else set())
    assert planned("tensorrt", model).fenced == set()


def test_no_fence_before_a_pool_whose_kernel_is_right() -> None:
    assert planned(ORT, pool(SAME)).fenced == set()


@pytest.mark.parametrize(
    ("kernel", "attributes", "bias", "runs"),
    [
        ((1, 1), "strides=[2,2]", ", b", False),
        ((1, 3), "strides=[2,2]", ", b", False),
        ((2, 2), "strides=[2,2],dilations=[2,1]", ", b", False),  # only every second row
        ((2, 2), "strides=[2,2]", ", b", True),
        ((2, 3), "strides=[2,2],dilations=[1,3]", ", b", True),
        ((1, 1), "strides=[2,2]", "", True),
    ],
)
def test_openvino_transposes_in_float_where_the_bias_would_miss_places(
    kernel: tuple[int, int], attributes: str, bias: str, runs: bool
) -> None:
    text = (
        "g (float[1,4,8,8] x) => (float[a,b,c,d] y) { [before] m = Conv(x, v) "
        f"[turn] y = ConvTranspose<{attributes}>(m, w{bias}) }}"
    )
    weights = {"w": (4, 4, *kernel), "v": (4, 4, 1, 1)} | ({"b": (4,)} if bias else {})
    model = prepare(build(text, 17, **weights))
    reason = planned(OPENVINO, model).float_nodes.get("turn")
    assert reason is None if runs else "leaves out the bias" in (reason or "")


@pytest.mark.parametrize(
    ("width", "outputs", "strides", "runs"),
    [(3, 8, "[1,2]", False), (5, 8, "[1,2]", True), (3, 4, "[1,2]", True), (2, 8, "[1,1]", True)],
)
def test_openvino_makes_a_column_of_groups_in_float(
    width: int, outputs: int, strides: str, runs: bool
) -> None:
    text = (
        f"g (float[1,4,5,{width}] x) => (float[a,b,c,d] y, float[a,b,c,d] z) {{ "
        f"[column] y = Conv<group=4,strides={strides}>(x, w, b) [other] z = Conv(x, v) }}"
    )
    model = prepare(build(text, 17, w=(outputs, 1, 2, 2), b=(outputs,), v=(4, 4, 1, 1)))
    reason = planned(OPENVINO, model).float_nodes.get("column")
    assert reason is None if runs else "one column" in (reason or "")


def test_openvino_makes_a_column_of_one_group_in_int8() -> None:
    text = (
        "g (float[1,4,5,3] x) => (float[a,b,c,d] y) { [before] m = Conv(x, v) "
        "[column] y = Conv<strides=[1,2]>(m, w, b) }"
    )
    model = prepare(build(text, 17, v=(1, 4, 1, 1), w=(8, 1, 2, 2), b=(8,)))
    assert "column" in planned(OPENVINO, model).int8_nodes


@pytest.mark.parametrize(
    ("attributes", "kernel", "runs"),
    [
        ("pads=[0,0,0,1]", (1, 1), False),
        ("pads=[1,0,0,0]", (1, 3), False),
        ("pads=[0,2,0,2]", (1, 3), True),
        ("pads=[0,3,0,2]", (1, 3), False),
        ("pads=[0,3,0,4],dilations=[1,2]", (1, 3), True),
        ("pads=[0,3,0,5],dilations=[1,2]", (1, 3), False),
        ("strides=[2,2],pads=[0,0,0,1]", (1, 1), False),  # which has got a second place
        ("strides=[2,2]", (1, 1), True),
    ],
)
def test_openvino_convolves_in_float_where_windows_lie_outside_of_the_image(
    attributes: str, kernel: tuple[int, int], runs: bool
) -> None:
    text = (
        "g (float[1,4,8,8] x) => (float[a,b,c,d] y, float[a,b,e,f] z) "
        f"{{ [outside] y = Conv<{attributes}>(x, w) [other] z = Conv(x, v) }}"
    )
    model = prepare(build(text, 17, w=(4, 4, *kernel), v=(4, 4, 3, 3)))
    reason = planned(OPENVINO, model).float_nodes.get("outside")
    assert reason is None if runs else "only windows of padding" in (reason or "")
    assert "outside" in planned(ORT, model).int8_nodes
