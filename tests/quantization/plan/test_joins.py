"""Which tensors a join lets share a scale, by their ranges and by who reads the result."""

import numpy as np
import pytest

from tests.graph.build import build
from tests.models import inception
from tests.quantization.test_qparams import record_of
from tinyint.graph.prepare import prepare
from tinyint.quantization.plan import plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import TARGETS, get_target

DEFAULT = Recipe.load("default")
X86, OPENVINO = get_target("x86-vnni"), get_target("openvino-vnni")
UNREAD = "no int8 operator with weights reads its result"
GIVEN_FLOAT = "the int8 operators before it give float results here"


def two_heads(tail: str, *outputs: str, **more):
    """Two convolutions into a Concat c, and then `tail`."""
    declared = ", ".join(f"float[1, M, H, W] {name}" for name in outputs)
    return prepare(
        build(
            f"net (float[1, 2, 4, 4] x) => ({declared}) {{ [left] a = Conv (x, w1) [right] b = Conv (x, w2) "
            f"[join] c = Concat <axis = 1> (a, b) {tail} }}",
            w1=(2, 2, 1, 1),
            w2=(2, 2, 1, 1),
            **more,
        )
    )


def read_by_a_convolution():
    return two_heads(
        "[last] y = Conv (c, w3) [side] z = Conv (a, w4)", "y", "z", w3=(2, 4, 1, 1), w4=(2, 2, 1, 1)
    )


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize(
    "tail", ["[moved] y = Reshape (c, shape)", "[scaled] d = Mul (c, two) [moved] y = Reshape (d, shape)"]
)
def test_a_join_that_no_int8_operator_with_weights_reads_is_in_float(tail, target):
    model = two_heads(tail, "y", shape=np.array([1, 4, 16, 1]), two=np.float32(2))
    planned = plan(model, target, DEFAULT)
    assert planned.float_nodes["join"].startswith(GIVEN_FLOAT if target.name == "tensorrt" else UNREAD)
    assert {"left", "right"} == set(planned.int8_nodes)


def test_a_join_is_read_through_what_moves_or_adds():
    tail = "[pool] p = MaxPool <kernel_shape = [2, 2]> (c) [add] s = Add (p, p) [last] y = Conv (s, w3)"
    planned = plan(two_heads(tail, "y", w3=(2, 4, 1, 1)), X86, DEFAULT)
    assert {"join", "pool", "add", "last"} <= set(planned.int8_nodes)


@pytest.mark.parametrize(("target", "runs"), [(X86, True), (OPENVINO, False)])
def test_a_constant_is_joined_in_float_where_quantizers_stand_before_the_join(target, runs):
    """Its scale would be another, and what stands after two scales runs in float."""
    model = prepare(
        build(
            "net (float[1, 2, 4, 4] x) => (float[1, M, H, W] y) { [first] a = Conv (x, w1) "
            "[join] c = Concat <axis = 1> (k, a) [last] y = Conv (c, w2, b) }",
            w1=(2, 2, 1, 1),
            k=(1, 2, 4, 4),
            w2=(2, 4, 1, 1),
            b=(2,),
        )
    )
    planned = plan(model, target, DEFAULT, record_of(model))
    assert ("join" in planned.int8_nodes) is runs
    assert "c" in planned.tensors
    assert {"first", "last"} <= set(planned.int8_nodes)
    assert runs or "joins a constant" in planned.float_nodes["join"]


def test_the_positions_behind_a_class_token_are_in_float_as_its_join_is():
    model = prepare(
        build(
            """
            net (float[1, 2, 4, 4] x) => (float[1, 17, 5] y) {
              [patches] p = Conv (x, w)
              [flat] f = Reshape (p, shape)
              [turn] t = Transpose <perm = [0, 2, 1]> (f)
              [join] c = Concat <axis = 1> (token, t)
              [positions] h = Add (c, places)
              [norm] n = LayerNormalization <axis = -1> (h, gamma, beta)
              [last] y = MatMul (n, v)
            }
            """,
            w=(8, 2, 1, 1),
            shape=np.array([1, 8, 16]),
            token=(1, 1, 8),
            places=(1, 17, 8),
            gamma=(8,),
            beta=(8,),
            v=(8, 5),
        )
    )
    for target in (X86, OPENVINO):
        planned = plan(model, target, DEFAULT)
        assert not {"join", "positions"} & set(planned.int8_nodes)
        assert {"patches", "last"} <= set(planned.int8_nodes)


def test_ranges_that_are_alike_share_a_scale():
    model = read_by_a_convolution()
    record = record_of(model, a=(-1.0, 1.0), b=(-2.0, 1.9), c=(-2.0, 1.9))
    for target in (X86, OPENVINO):
        tensors = plan(model, target, DEFAULT, record).tensors
        assert tensors["a"].group == tensors["b"].group


def test_without_a_record_all_ranges_are_alike():
    tensors = plan(read_by_a_convolution(), X86, DEFAULT).tensors
    assert tensors["a"].group == tensors["b"].group == tensors["c"].group


def unlike(model):
    return record_of(model, a=(-1.0, 1.0), b=(-10.0, 10.0), c=(-10.0, 10.0))


@pytest.mark.parametrize("target", [X86, OPENVINO], ids=["x86", "openvino"])
def test_unlike_ranges_keep_scales_of_their_own(target):
    model = read_by_a_convolution()
    planned = plan(model, target, DEFAULT, unlike(model))
    assert "join" in planned.int8_nodes
    assert [planned.tensors[name].group for name in "abc"] == ["a", "b", "c"]


@pytest.mark.parametrize("target", [X86, OPENVINO], ids=["x86", "openvino"])
def test_unlike_ranges_are_joined_in_float_where_a_float_operator_reads_them_too(target):
    model = two_heads("[last] y = Conv (c, w3) [erf] z = Erf (c)", "y", "z", w3=(2, 4, 1, 1))
    planned = plan(model, target, DEFAULT, unlike(model))
    assert planned.float_nodes["join"] == (
        "it joins tensors of unlike ranges: one scale would be 10 times as coarse as the finest of them needs"
    )
    assert planned.tensors["c"].reads == {("last", 0)}
    alike = record_of(model)
    assert "join" in plan(model, target, DEFAULT, alike).int8_nodes


@pytest.mark.parametrize("target", [X86, OPENVINO], ids=["x86", "openvino"])
@pytest.mark.parametrize("reader", ["Sigmoid (c)", "Mul (c, factors)"])
def test_unlike_ranges_are_joined_in_float_where_they_are_used_element_by_element(reader, target):
    factors = np.ones((1, 4, 1, 1), np.float32)
    model = two_heads(f"[use] d = {reader} [last] y = Conv (d, w3)", "y", w3=(2, 4, 1, 1), factors=factors)
    assert "unlike ranges" in plan(model, target, DEFAULT, unlike(model)).float_nodes["join"]
    assert {"join", "use"} <= set(plan(model, target, DEFAULT, record_of(model)).int8_nodes)


@pytest.mark.parametrize("target", [X86, OPENVINO], ids=["x86", "openvino"])
def test_unlike_ranges_that_are_read_side_by_side_alone_get_one_scale_in_any_case(target):
    tail = "[pool] p = MaxPool <kernel_shape = [2, 2]> (c) [last] y = Conv (p, w3)"
    model = two_heads(tail, "y", w3=(2, 4, 1, 1))
    planned = plan(model, target, DEFAULT, unlike(model))
    assert {"join", "pool"} <= set(planned.int8_nodes)
    assert planned.tensors["a"].group == planned.tensors["b"].group


def test_ranges_that_grow_from_join_to_join_do_not_add_up():
    model = two_heads(
        "[third] e = Conv (x, w2) [more] d = Concat <axis = 1> (c, e) [last] y = Conv (d, w5) [side] z = Conv (c, w3)",
        "y",
        "z",
        w3=(2, 4, 1, 1),
        w5=(2, 6, 1, 1),
    )
    record = record_of(model, a=(-1.0, 1.0), b=(-1.9, 1.9), c=(-1.9, 1.9), e=(-3.0, 3.0), d=(-3.0, 3.0))
    tensors = plan(model, X86, DEFAULT, record).tensors
    assert tensors["a"].group == tensors["b"].group == tensors["c"].group
    assert tensors["e"].group != tensors["a"].group != tensors["d"].group


def test_a_constant_and_a_bounded_tensor_have_ranges_too():
    model = two_heads(
        "[gate] s = Sigmoid (b) [both] d = Concat <axis = 1> (a, s, rest) [last] y = Conv (d, w3) [erf] z = Erf (d)",
        "y",
        "z",
        w3=(2, 6, 1, 1),
        rest=np.full((1, 2, 4, 4), 0.01, np.float32),
    )
    record = record_of(model, d=(-1.0, 1.0))
    assert "200 times" in plan(model, X86, DEFAULT, record).float_nodes["both"]


def test_a_dead_tensor_is_like_any_other():
    model = inception()
    record = record_of(model, ar=(0.0, 0.0), br=(0.0, 7.0), c=(0.0, 7.0))
    tensors = plan(model, X86, DEFAULT, record).tensors
    assert tensors["ar"].group == tensors["br"].group
