from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.graph.build import build, feeds_of, operators, run
from tinyint.errors import ModelError
from tinyint.graph.io import model_fingerprint
from tinyint.graph.prepare import prepare

F = np.float32
BN = dict.fromkeys(("scale", "shift", "mean"), (4,)) | {"var": np.array([0.5, 2.0, 1e-3, 4.0], F)}
IMAGE = "g (float[N,4,6,6] x) => (float[N,4,6,6] y)"
KERNEL = "dilations=[1,1],pads=[1,1,1,1]"


def check(model: ir.Model, expected: list[str], tolerance: float = 2e-5) -> ir.Model:
    """prepare() leaves the caller's model, the interface and the outputs as they were, and these operators."""
    before = model_fingerprint(model)
    prepared = prepare(model)
    assert model_fingerprint(model) == before
    onnx.checker.check_model(ir.to_proto(prepared), full_check=False)
    for was, now in (
        (model.graph.inputs, prepared.graph.inputs),
        (model.graph.outputs, prepared.graph.outputs),
    ):
        assert [(v.name, v.dtype) for v in was if not v.is_initializer()] == [
            (v.name, v.dtype) for v in now
        ] or any(v.is_graph_output() for v in prepared.graph.initializers.values())
    feeds = feeds_of(model)
    for old, new in zip(run(model, feeds), run(prepared, feeds), strict=True):
        np.testing.assert_allclose(
            new, old, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(old).max()))
        )
    assert operators(prepared) == expected
    names = [node.name for node in prepared.graph]
    assert all(names)
    assert len(set(names)) == len(names)
    return prepared


def test_a_worked_batch_norm() -> None:
    # scale 3, shift 5, mean 1, var 4 - eps: y = 3·(2x + 0.5 - 1)/2 + 5 = 3x + 4.25
    model = build(
        "g (float[1,1,1,1] x) => (float[1,1,1,1] y) { c = Conv(x,w,b) y = "
        "BatchNormalization<epsilon=0.25>(c,s,t,m,v) }",
        w=np.full((1, 1, 1, 1), 2, F), b=F([0.5]), s=F([3]), t=F([5]), m=F([1]), v=F([3.75]),
    )  # fmt: skip
    prepared = prepare(model)
    assert prepared.graph.initializers["w"].const_value.numpy().item() == 3.0
    assert prepared.graph.initializers["b"].const_value.numpy().item() == 4.25


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_batch_norm_goes_into_the_convolution_before_it(op: str, bias: bool, group: int) -> None:
    model = build(
        IMAGE + f"{{ c = {op}<group={group},{KERNEL}>(x,w{',b' if bias else ''})"
        " y = BatchNormalization<epsilon=0.01>(c,scale,shift,mean,var) }",
        w=(4, 4 // group, 3, 3), **({"b": (4,)} if bias else {}), **BN,
    )  # fmt: skip
    prepared = check(model, [op])
    assert len(prepared.graph.node(0).inputs) == 3


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
    check(build(text, w=(3, 4), b=(2, 4), **BN), ["Gemm", "BatchNormalization"])


@pytest.mark.parametrize(
    "body",
    [
        "c = Conv<pads=[1,1,1,1]>(x,w) z = BatchNormalization(c,scale,shift,mean,var) y = Add(c,z)",
        "r = Relu(x) y = BatchNormalization(r,scale,shift,mean,var)",
        "v = MatMul(x,k) y = BatchNormalization(v,scale,shift,mean,var)",
        "c = Conv<pads=[1,1,1,1]>(x,w) a = ReduceMax<axes=[0,2,3],keepdims=0>(x) y = "
        "BatchNormalization(c,a,shift,mean,var)",
        "c = Conv<pads=[1,1,1,1]>(x,w) q = Constant<value_floats=[0.0,1.0,2.0,3.0,4.0,5.0]>() y = Mul(c,q)",
        "c = Conv<pads=[1,1,1,1]>(x,w) y = Div(one,c)",
    ],
)
def test_what_cannot_be_folded_stays(body: str) -> None:
    weights = {"w": (4, 4, 3, 3), "k": (6, 6), "one": F(1), **BN}
    used = {
        name: value
        for name, value in weights.items()
        if name in body.replace("(", ",").replace(")", ",").split(",")
    }
    model = build(f"{IMAGE} {{ {body} }}", **used)
    expected = [op for op in operators(model) if op != "Constant"]
    check(model, expected)


def test_batch_norm_in_training_mode_stays() -> None:
    model = build(
        f"{IMAGE} {{ c = Conv<pads=[1,1,1,1]>(x,w) y, m2, v2 = "
        f"BatchNormalization<training_mode=1>(c,scale,shift,mean,var) }}",
        w=(4, 4, 3, 3), **BN,
    )  # fmt: skip
    check(model, ["Conv", "BatchNormalization"], 1e-4)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_constant_arithmetic_after_a_convolution_is_folded(op: str) -> None:
    model = build(
        f"{IMAGE} {{ c = {op}<{KERNEL},group=2>(x,w) d = Mul(m,c) e = Add(d,a) f = Sub(e,s) h = Div(f,v) "
        f"i = BatchNormalization(h,scale,shift,mean,var) y = Relu(i) }}",
        w=(4, 2, 3, 3), m=(4, 1, 1), a=(1, 4, 1, 1), s=F(0.5), v=F([2.0]), **BN,
    )  # fmt: skip
    check(model, [op, "Relu"])


def test_division_by_zero_is_not_folded() -> None:
    model = build(f"{IMAGE} {{ c = Conv<pads=[1,1,1,1]>(x,w) y = Div(c,z) }}", w=(4, 4, 3, 3), z=F(0))
    assert operators(prepare(model)) == ["Conv", "Div"]


def test_a_shared_weight_is_cloned_before_it_is_folded() -> None:
    model = build(
        f"{IMAGE} {{ c = Conv<pads=[1,1,1,1]>(x,w,b) d = BatchNormalization(c,scale,shift,mean,var) e = "
        f"Conv<pads=[1,1,1,1]>(x,w,b) y = Add(d,e) }}",
        w=(4, 4, 3, 3), b=(4,), **BN,
    )  # fmt: skip
    prepared = check(model, ["Conv", "Conv", "Add"])
    convs = [node for node in prepared.graph if node.op_type == "Conv"]
    assert {convs[0].inputs[1], convs[0].inputs[2]}.isdisjoint({convs[1].inputs[1], convs[1].inputs[2]})


@pytest.mark.parametrize(
    "body",
    [
        "k = Identity(w)",
        "t = Transpose<perm=[1,0,2,3]>(w) k = Transpose<perm=[1,0,2,3]>(t)",
        "s = Constant<value_ints=[4,4,3,3]>() k = Reshape(w,s)",
        "f = Identity(w) s = Constant<value_ints=[0]>() u = Unsqueeze(f,s) k = Squeeze(u,s)",
        "s = Constant<value_float=0.5>() k = Mul(w,s)",
    ],
)
def test_weights_behind_other_nodes_come_to_light(body: str) -> None:
    model = build(f"{IMAGE} {{ {body} y = Conv<pads=[1,1,1,1]>(x,k) }}", w=(4, 4, 3, 3))
    prepared = check(model, ["Conv"])
    assert prepared.graph.node(0).inputs[1].is_initializer()


def test_random_and_growing_operators_are_not_folded() -> None:
    text = (
        "g (float[1] x) => (float[1] y) { r = RandomNormal<shape=[1]>() s = "
        "Constant<value_ints=[1024,1025]>() e = ConstantOfShape(s) m = ReduceMax<keepdims=0>(e) a = Mul(r,m)"
        " y = Add(a,x) }"
    )
    prepared = prepare(build(text))
    assert operators(prepared) == ["RandomNormal", "ConstantOfShape", "ReduceMax", "Mul", "Add"]


def test_no_ops_go_and_outputs_keep_their_names() -> None:
    model = build(
        f"{IMAGE} {{ i = Identity(x) d, m = Dropout(i) r = Relu(d) e = Dropout(r) y = Identity(e) }}"
    )
    check(model, ["Relu"])


def test_an_output_that_is_an_input_or_a_constant_keeps_its_identity() -> None:
    text = (
        "g (float[2] x) => (float[2] y, float[2] z, float[2] y2, float[2] r, float[2] r2) { y = "
        "Identity(x) z = Identity(w) y2 = Identity(y) r = Relu(x) r2 = Identity(r) }"
    )
    prepared = prepare(build(text, w=F([1, 2])))
    assert [v.name for v in prepared.graph.outputs] == ["y", "z", "y2", "r", "r2"]
    outputs = run(prepared, {"x": F([-3, 4])})
    np.testing.assert_array_equal(np.stack(outputs), [[-3, 4], [1, 2], [-3, 4], [0, 4], [0, 4]])


def test_a_graph_output_that_is_an_initializer_is_not_folded_into() -> None:
    text = f"{IMAGE.replace('y)', 'y, float[4,4,3,3] w)')} {{ c = Conv<pads=[1,1,1,1]>(x,w) y = Mul(c,two) }}"
    model = build(text, w=(4, 4, 3, 3), two=F(2))
    prepared = prepare(model)
    feeds = feeds_of(model)
    for old, new in zip(run(model, feeds), run(prepared, feeds), strict=True):
        np.testing.assert_allclose(new, old, rtol=2e-5, atol=1e-5)


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


@pytest.mark.parametrize("opset", [12, 17])
def test_branches_stay_and_see_the_values_around_them(opset: int) -> None:
    model = build(
        f"""g (float[N,4,6,6] x, bool flag) => (float[N,4,6,6] y) {{
          k = Identity(w) c = Conv<{KERNEL}>(x,k) i = Identity(c)
          y = If(flag) <then_branch = t () => (float[N,4,6,6] p) {{ j = Identity(i) p = Mul(j,i) }},
                        else_branch = e () => (float[N,4,6,6] q) {{ q = Identity(i) }}> }}""",
        opset, w=(4, 4, 3, 3),
    )  # fmt: skip
    prepared = check(model, ["Conv", "If"])
    assert [n.op_type for n in prepared.graph.node(1).attributes["then_branch"].as_graph()] == [
        "Identity",
        "Mul",
    ]


def test_local_functions_are_inlined() -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "local": 1]> g (float[2] x) => (float[2] y) { y = local.twice(x) }
    <domain: "local", opset_import: ["": 17]> twice (a) => (b) { b = Add(a,a) }"""
    assert operators(prepare(ir.from_proto(onnx.parser.parse_model(text)))) == ["Add"]


def test_initializers_listed_as_inputs_become_constants() -> None:
    model = build("g (float[N,3] x, float[3,4] w) => (float[N,4] y) { y = MatMul(x,w) }", w=(3, 4))
    prepared = prepare(model)
    assert [v.name for v in prepared.graph.inputs] == ["x"]
    feeds = feeds_of(model)
    np.testing.assert_array_equal(run(prepared, feeds)[0], run(model, feeds)[0])


def test_nodes_are_named_uniquely_and_keep_the_names_they_have() -> None:
    text = (
        "g (float[2] x) => (float[2] y) { [a] b = Relu(x) [a] c = Neg(b) d = Abs(c) [Abs_0] e = "
        "Exp(d) [a_1] y = Abs(e) }"
    )
    prepared = prepare(build(text))
    assert [node.name for node in prepared.graph] == ["a", "a_2", "Abs_1", "Abs_0", "a_1"]


def test_unused_nodes_and_constants_go_and_shapes_are_inferred() -> None:
    model = build(
        "g (float[N,3] x) => (float[N,4] y) { u = Relu(x) h = MatMul(x,w) y = Relu(h) }", w=(3, 4), v=(9,)
    )
    prepared = check(model, ["MatMul", "Relu"])
    assert set(prepared.graph.initializers) == {"w"}
    assert list(prepared.graph.node(0).outputs[0].shape)[1] == 4


def test_half_precision_weights_keep_their_type() -> None:
    half = {name: np.ones(4, np.float16) for name in ("scale", "shift", "mean", "var")}
    model = build(
        "g (float16[1,4,6,6] x) => (float16[1,4,4,4] y) { c = Conv(x,w) y = "
        "BatchNormalization(c,scale,shift,mean,var) }",
        w=np.ones((4, 4, 3, 3), np.float16), **half,
    )  # fmt: skip
    prepared = prepare(model)
    assert operators(prepared) == ["Conv"]
    assert {v.const_value.dtype for v in prepared.graph.initializers.values()} == {ir.DataType.FLOAT16}


def control_flow_cases() -> list[Any]:
    """ONNX's own conformance cases of If and Loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = importlib.import_module("onnx.backend.test.case.node")
        for module in ("if_", "loop"):
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    cases = [case for case in node._NodeTestCases if case.name.startswith(("test_if", "test_loop"))]
    assert len(cases) >= 6
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.mark.parametrize("case", control_flow_cases())
def test_control_flow_of_the_standard_gives_the_same(case: Any) -> None:
    model = ir.from_proto(case.model)
    inputs, expected = case.data_sets[0]
    feeds = {value.name: array for value, array in zip(case.model.graph.input, inputs, strict=True)}
    feeds = {name: np.asarray(array) if np.isscalar(array) else array for name, array in feeds.items()}
    outputs = run(prepare(model), feeds)
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_equal(got, want)


def test_scalars_stay_scalars_when_they_are_folded() -> None:
    text = """g (float[N] x) => (int64[n] y) { one = Constant<value_int=1>() three = Add(one,two) zero = Sub(one,one)
        s = Shape(x) n = ReduceSum<keepdims=0>(s) end = Add(n,three) y = Range(zero,end,one) }"""
    model = build(text, two=np.array(2, np.int64))
    prepared = prepare(model)
    assert operators(prepared) == ["Shape", "ReduceSum", "Add", "Range"]
    np.testing.assert_array_equal(run(prepared, {"x": np.zeros(4, F)})[0], np.arange(7))


def test_a_weight_from_a_constant_that_is_an_output_is_folded_into_a_copy() -> None:
    text = """g (float[N,2,1,1] x) => (float[N,1,1,1] y, float[1,2,1,1] w) {
        w = Constant<value=float[1,2,1,1] {1.0, 2.0}>() c = Conv(x,w) y = Mul(c,three) }"""
    prepared = prepare(build(text, three=F(3)))
    y, w = run(prepared, {"x": np.full((1, 2, 1, 1), 10, F)})
    assert (y.item(), w.reshape(-1).tolist()) == (90.0, [1.0, 2.0])
    assert "Mul" not in operators(prepared)


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
