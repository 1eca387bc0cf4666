"""Where OpenVINO needs a bias: convolutions without one that several read."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import UINT8, QParams
from tinyint.quantization import qdq
from tinyint.quantization.plan import Plan, plan
from tinyint.quantization.qparams import Assignment
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

FLOAT = "[other] z = Tanh(c)"


def forked(conv: str, rest: str, bias: float = 0.0) -> ir.Model:
    text = f"g (float[N,3,8,8] x) => (float[N,4,h,w] y, float[N,4,i,j] z) {{ [a] {conv} {rest} [b] y = Conv(c,w) }}"
    weights = {"v": (4, 3, 1, 1), "t": (3, 4, 2, 2), "w": (4, 4, 1, 1), "zeros": np.full(4, bias, np.float32)}
    used = {name: weight for name, weight in weights.items() if f"{name})" in text or f",{name}," in text}
    return prepare(build(text, **used))


def planned(target: str, model: ir.Model) -> Plan:
    return plan(model, get_target(target), Recipe.load("default"))


@pytest.mark.parametrize(
    ("conv", "rest", "bias", "needed"),
    [
        ("c = Conv(x,v)", FLOAT, 0.0, True),
        ("c = Conv(x,v,zeros)", FLOAT, 0.0, True),
        ("c = Conv(x,v,zeros)", FLOAT, 0.01, False),
        ("c = ConvTranspose(x,t)", FLOAT, 0.0, False),  # all read the quantizer
        ("m = Conv(x,v) [turn] c = Transpose<perm=[0,1,3,2]>(m)", FLOAT, 0.0, True),
        ("m = Conv(x,v) [relu] c = Relu(m)", FLOAT, 0.0, False),
    ],
)
def test_a_bias_where_several_read_what_has_none(conv: str, rest: str, bias: float, needed: bool) -> None:
    model = forked(conv, rest, bias)
    places = {("a", 2)} if needed else set()
    for target in ("openvino-vnni", "openvino-avx2"):
        found = planned(target, model)
        assert found.biases == places
        assert not needed or ("a", 2) not in found.bias_weights
    assert planned("x86-vnni", model).biases == set()


def test_the_second_convolution_is_read_by_the_graph_alone() -> None:
    assert ("b", 2) not in planned("openvino-vnni", forked("c = Conv(x,v)", FLOAT)).biases


@pytest.mark.parametrize("conv", ["c = Conv(x,v)", "c = Conv(x,v,zeros)"])
def test_the_bias_is_lost_beside_any_sum_and_stands_for_that_of_zeros(conv: str) -> None:
    model = forked(conv, FLOAT)
    found = planned("openvino-vnni", model)
    params = QParams(scale=np.float32(0.5), zero_point=np.uint8(3), qtype=UINT8)
    tensors = dict.fromkeys(found.tensors, params)
    written = qdq.insert(model, found, Assignment(tensors=tensors, constants={}))
    bias = next(node for node in written.graph if node.name == "a").inputs[2]
    assert bias is not None
    assert bias.const_value is not None
    values = bias.const_value.numpy()
    np.testing.assert_array_equal(values, np.linspace(1e-30, 2e-30, 4, dtype=np.float32))
    assert (np.float32(1e-20) + values == np.float32(1e-20)).all()
    assert "zeros" not in written.graph.initializers


def products(rows: object, first: str, clamp: str = "m", rank: str = "") -> ir.Model:
    """Two products; the first makes `p`, and the second reads `clamp`."""
    text = f"g (float[{rank}{rows},3] x) => (float y) {{ {first} [b] y = MatMul({clamp},w) }}"
    constants = {
        "v": (3, 4), "t": (4, 3), "w": (4, 5), "u": (3, 1), "one": (1, 5),
        "zeros": np.zeros(4, np.float32), "half": np.full(4, 0.5, np.float32), "mixed": np.float32([0, 1, 2, 3]),
        "two": np.float32(2),
    }  # fmt: skip
    text = text.replace("m,w", "m,one") if ",u)" in text else text
    read = set(re.split(r"\W+", text))
    return prepare(build(text, **{name: c for name, c in constants.items() if name in read}))


@pytest.mark.parametrize(
    ("rows", "first", "place"),
    [
        (1, "[a] m = MatMul(x,v)", ("a", 2)),
        (8, "[a] m = MatMul(x,v)", ("a", 2)),
        (9, "[a] m = MatMul(x,v)", None),
        ("N", "[a] m = MatMul(x,v)", ("a", 2)),  # which OpenVINO may be told to be 1
        ("N,7", "[a] m = MatMul(x,v)", None),
        (1, "[a] m = MatMul(x,u)", None),  # one column
        (1, "[a] m = Gemm(x,v)", ("a", 2)),
        (1, "[a] m = Gemm<transB=1>(x,t)", ("a", 2)),
        (1, "[a] m = Gemm(x,v,zeros)", ("a", 2)),
        (1, "[a] m = Gemm(x,v,half)", ("a", 2)),
        (1, "[a] m = Gemm(x,v,mixed)", None),
        (1, "[a] p = MatMul(x,v) [plus] m = Add(p,half)", ("plus", 1)),
        (1, "[a] p = MatMul(x,v) [plus] m = Add(half,p)", ("plus", 0)),
        (1, "[a] p = MatMul(x,v) [plus] m = Add(p,mixed)", None),
        (1, "[a] p = MatMul(x,v) [relu] m = Relu(p)", ("a", 2)),
        (1, "[a] p = MatMul(x,v) [other] m = Tanh(p)", None),  # the quantizer is after it
    ],
)
def test_a_bias_of_different_numbers_for_products_of_few_rows(
    rows: object, first: str, place: tuple[str, int] | None
) -> None:
    model = products(rows, first)
    found = planned("openvino-vnni", model)
    assert "a" in found.int8_nodes
    assert found.biases == ({place} if place else set())
    assert place not in found.bias_weights
    assert planned("x86-vnni", model).biases == set()


@pytest.mark.parametrize(
    ("rows", "first", "fenced"),
    [
        (1, "[a] p = MatMul(x,v) [times] m = Mul(p,two)", "times"),
        (1, "[a] p = MatMul(x,v) [times] m = Mul(two,p)", "times"),
        (1, "[a] p = MatMul(x,v) [relu] r = Relu(p) [times] q = Mul(r,two) [less] m = Sub(q,half)", "times"),
        (1, "[a] p = MatMul(x,v) [bend] r = Sigmoid(p) [less] m = Sub(r,half)", "less"),
        (9, "[a] p = MatMul(x,v) [times] m = Mul(p,two)", None),
        (1, "[a] p = MatMul(x,v) [times] m = Mul(p,p)", None),
        (
            1,
            "[a] p = MatMul(x,v) [times] q = Mul(p,two) [bend] m = Tanh(q)",
            "times",
        ),  # it may be folded further
    ],
)
def test_arithmetic_with_constants_is_kept_from_the_quantizer_behind_it(
    rows: int, first: str, fenced: str | None
) -> None:
    model = products(rows, first)
    assert planned("openvino-vnni", model).fenced == ({fenced} if fenced else set())
    assert planned("x86-vnni", model).fenced == set()
    if fenced:
        node = next(node for node in inserted(model).graph if node.name == fenced)
        copies = [value.producer() for value in node.inputs if value is not None and value.producer()]
        assert [copy.op_type for copy in copies if copy is not None] == ["Max"]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("[a] m = MatMul(x,v)", np.linspace(1e-30, 2e-30, 4)),
        ("[a] m = Gemm<transB=1>(x,t)", np.linspace(1e-30, 2e-30, 4)),
        ("[a] m = Gemm(x,v,zeros)", np.linspace(1e-30, 2e-30, 4)),
        ("[a] m = Gemm(x,v,half)", [0.5, 0.5 - 2**-25, 0.5 - 2**-25, 0.5 - 2**-25]),
        ("[a] p = MatMul(x,v) [plus] m = Add(half,p)", [0.5, 0.5 - 2**-25, 0.5 - 2**-25, 0.5 - 2**-25]),
    ],
)
def test_the_numbers_of_the_bias(first: str, expected: object) -> None:
    written = inserted(products(1, first))
    node = next(n for n in written.graph if n.name == ("plus" if "plus" in first else "a"))
    bias = next(v.const_value for v in node.inputs if v is not None and len(v.shape or ()) == 1)
    assert node.op_type == ("Add" if "plus" in first else "Gemm")
    assert bias is not None
    np.testing.assert_array_equal(bias.numpy(), np.asarray(expected, np.float32))


def inserted(model: ir.Model, trained: np.ndarray | None = None) -> ir.Model:
    """The model with a plan for OpenVINO carried out, after its bias of zeros has become another."""
    found = planned("openvino-vnni", model)
    if trained is not None:
        model.graph.initializers["zeros"].const_value = ir.tensor(trained, name="zeros")
    params = QParams(scale=np.float32(0.5), zero_point=np.uint8(3), qtype=UINT8)
    return qdq.insert(model, found, Assignment(tensors=dict.fromkeys(found.tensors, params), constants={}))


@pytest.mark.parametrize(
    "model",
    [forked("c = Conv(x,v,zeros)", FLOAT), products(1, "[a] m = Gemm(x,v,zeros)")],
    ids=["Conv", "Gemm"],
)
def test_a_bias_that_training_has_moved_from_zeros_stays(model: ir.Model) -> None:
    trained = np.float32([0.1, 0.2, 0.3, 0.4])
    bias = next(node for node in inserted(model, trained).graph if node.name == "a").inputs[2]
    assert bias is not None
    assert bias.const_value is not None
    np.testing.assert_array_equal(bias.const_value.numpy(), trained)
