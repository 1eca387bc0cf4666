import numpy as np
import onnx_ir as ir
import pytest

from tests.graph.build import build
from tests.models import residual
from tests.runtimes.graphs import Graph
from tinyint.errors import ModelError
from tinyint.graph.ops import ALL
from tinyint.numbers.granularity import PerAxis, PerBlock
from tinyint.numbers.numerics import INT8, INT32, UINT8, Constant, QParams
from tinyint.numbers.scheme import Scheme
from tinyint.quantization import qdq
from tinyint.quantization.plan import Plan, TensorPlan
from tinyint.quantization.qparams import Assignment

PARAMS = QParams(scale=np.float32(0.5), zero_point=np.uint8(3), qtype=UINT8)


def insert(
    model: ir.Model, *, absorbed: frozenset[str] = frozenset(), fenced: frozenset[str] = frozenset(), **reads
) -> ir.Model:
    scheme = Scheme(qtype=UINT8, symmetric=False)
    tensors = {name: TensorPlan(scheme=scheme, group=name, reads=r) for name, r in reads.items()}
    planned = Plan(
        target="x86-vnni",
        tensors=tensors,
        constants={},
        bias_weights={},
        absorbed=absorbed,
        fenced=fenced,
        biases=frozenset(),
        int8_nodes=(),
        float_nodes={},
    )
    return qdq.insert(model, planned, Assignment(tensors=dict.fromkeys(tensors, PARAMS), constants={}))


def named(model: ir.Model) -> dict[str, ir.Node]:
    return {node.name: node for node in model.graph.all_nodes()}


def read_by(node: ir.Node) -> list[str]:
    return [value.name for value in node.inputs if value is not None]


def fork() -> ir.Model:
    return build("net (float[2] x) => (float[2] a, float[2] b) { [one] a = Relu (x) \n [two] b = Neg (x) }")


def test_only_the_places_that_the_plan_names_read_the_quantized_value():
    model = insert(fork(), x=frozenset({("one", 0)}))
    nodes = {node.name: node for node in model.graph}
    assert nodes["one"].inputs[0].name == "x_dq"
    assert nodes["two"].inputs[0].name == "x"
    assert [node.name for node in model.graph][:2] == ["x/Q", "x/DQ"]


def test_a_graph_output_keeps_its_name():
    model = insert(fork(), a=ALL)
    assert [value.name for value in model.graph.outputs] == ["a", "b"]
    assert model.graph.outputs[0].producer().name == "a/DQ"


def test_what_is_written_is_read_back():
    (found,) = qdq.read(insert(fork(), x=ALL))
    assert (found.name, found.constant, found.params) == ("x", False, PARAMS)


def test_constants_are_replaced_by_their_codes():
    model = residual()
    scale = np.full(8, 0.5, np.float32)
    params = QParams(scale=scale, zero_point=np.zeros(8), qtype=INT8, granularity=PerAxis(0))
    copy = model.clone()
    qdq.quantize_constants(copy.graph, {("conv1", 1): Constant(params=params)})
    assert "w1" not in copy.graph.initializers
    assert copy.graph.initializers["w1_q"].dtype == ir.DataType.INT8
    (found,) = qdq.read(copy)
    assert (found.name, found.constant, found.params) == ("w1", True, params)
    assert "w1" in model.graph.initializers


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_reads_graphs_of_other_writers(dtype):
    graph = Graph(1, 4)
    model = graph.model(graph.quantized("x", scale=0.25, zero_point=7, dtype=dtype))
    (found,) = qdq.read(ir.from_proto(__import__("onnx").load_from_string(model)))
    assert (float(found.params.scale), int(found.params.zero_point)) == (0.25, 7)
    assert found.params.qtype.storage == dtype


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_parameters_that_are_none_are_named(scale):
    text = "net (float[2] x) => (float[2] y) { q = QuantizeLinear (x, s, z)  [back] y = DequantizeLinear (q, s, z) }"
    model = build(text, s=np.float32(scale), z=np.uint8(3))
    with pytest.raises(ModelError, match=r"QuantizeLinear 'q' has no valid parameters"):
        qdq.read(model)
    empty = build(text, s=np.float32(1), z=np.zeros(0, np.uint8))
    with pytest.raises(ModelError, match=r"'q' has no valid parameters"):
        qdq.read(empty)


def test_both_nodes_of_a_pair_read_one_scale_and_one_zero_point():
    model = insert(fork(), x=ALL)
    nodes = named(model)
    assert read_by(nodes["x/Q"]) == ["x", "x/scale", "x/zero_point"]
    assert read_by(nodes["x/DQ"]) == ["x_q", "x/scale", "x/zero_point"]
    codes, back = nodes["x/Q"].outputs[0], nodes["x/DQ"].outputs[0]
    assert (codes.dtype, codes.shape, back.dtype, back.shape) == (
        ir.DataType.UINT8,
        ir.Shape([2]),
        ir.DataType.FLOAT,
        ir.Shape([2]),
    )


def test_an_output_that_is_quantized_for_one_reader_is_given_in_float():
    text = "net (float[2] x) => (float[2] a, float[2] b) { [one] a = Relu (x) \n [two] b = Neg (a) }"
    model = insert(build(text), a=frozenset({("two", 0)}))
    assert [value.name for value in model.graph.outputs] == ["a", "b"]
    assert [value.producer().name for value in model.graph.outputs] == ["one", "two"]
    assert read_by(named(model)["two"]) == ["a_dq"]


def test_a_graph_output_is_read_by_all_behind_its_quantizer():
    text = "net (float[2] x) => (float[2] a, float[2] b) { [one] a = Relu (x) \n [two] b = Neg (a) }"
    model = insert(build(text), a=ALL)
    nodes = named(model)
    assert read_by(nodes["a/Q"])[0] == "a_float"
    assert nodes["one"].outputs[0].name == "a_float"
    assert read_by(nodes["two"]) == ["a"]


def test_a_clamp_that_the_quantizer_replaces_goes():
    text = "net (float[2] x) => (float[2] y) { [cut] a = Clip (x, low, high) [two] y = Neg (a) }"
    model = insert(build(text, low=np.float32(0), high=np.float32(6)), absorbed=frozenset({"cut"}), x=ALL)
    assert [node.name for node in model.graph] == ["x/Q", "x/DQ", "two"]
    assert read_by(named(model)["two"]) == ["x_dq"]


@pytest.mark.parametrize(
    ("body", "read"), [("Add (x, half)", ["y/fence", "half"]), ("Add (half, x)", ["half", "y/fence"])]
)
def test_a_fence_copies_what_is_computed(body, read):
    text = f"net (float[2] x) => (float[2] z) {{ [y] y = {body} [last] z = Neg (y) }}"
    model = insert(build(text, half=np.float32([0.5, 0.25])), fenced=frozenset({"y"}), x=ALL)
    nodes = named(model)
    assert nodes["y/fence"].op_type == "Max"
    assert read_by(nodes["y/fence"]) == ["x_dq", "x_dq"]
    assert read_by(nodes["y"]) == read
    copy = nodes["y/fence"].outputs[0]
    assert (copy.dtype, copy.shape) == (ir.DataType.FLOAT, ir.Shape([2]))


BODIES = """
net (float[2, 3] x, bool c) => (float[a, b] y) {{
  [move] m = Transpose (x) {between}
  [branch] y = If (c) <
    then_branch = left () => (float[3, 2] t) {{ [inside] t = Neg ({read}) }},
    else_branch = right () => (float[3, 2] e) {{ [other] e = Abs (m) }}
  >
}}
"""


def test_bodies_read_moved_values_behind_a_pair_of_their_own():
    model = insert(build(BODIES.format(between="", read="m")), x=ALL)
    nodes = named(model)
    assert read_by(nodes["m/Q"]) == ["m", "x/scale", "x/zero_point"]
    assert read_by(nodes["m/DQ"]) == ["m_q", "x/scale", "x/zero_point"]
    assert (read_by(nodes["inside"]), read_by(nodes["other"])) == (["m_dq"], ["m_dq"])
    codes, back = nodes["m/Q"].outputs[0], nodes["m/DQ"].outputs[0]
    assert (codes.dtype, codes.shape) == (ir.DataType.UINT8, nodes["move"].outputs[0].shape)
    assert (back.dtype, back.shape) == (ir.DataType.FLOAT, nodes["move"].outputs[0].shape)


def test_bodies_read_as_before_what_holds_no_codes_or_is_not_moved():
    assert "m/Q" not in named(insert(build(BODIES.format(between="", read="m"))))
    made = named(insert(build(BODIES.format(between="[neg] n = Neg (m)", read="n")), x=ALL))
    assert read_by(made["inside"]) == ["n"]
    assert read_by(made["other"]) == ["m_dq"]
    assert "n/Q" not in made


@pytest.mark.parametrize(
    ("granularity", "scale", "attributes"),
    [
        (PerAxis(1), [0.5, 0.25], {"axis": 1}),
        (PerBlock(axis=0, size=2), [[0.5, 0.25]], {"axis": 0, "block_size": 2}),
    ],
    ids=str,
)
def test_the_attributes_say_along_which_axis_scales_go(granularity, scale, attributes):
    model = build("net (float[1, 2] x) => (float[1, 2] y) { [one] y = MatMul (x, w) }", w=(2, 2), opset=21)
    scale = np.float32(scale)
    params = QParams(scale=scale, zero_point=np.zeros(scale.shape), qtype=INT8, granularity=granularity)
    qdq.quantize_constants(model.graph, {("one", 1): Constant(params=params)})
    assert {name: a.as_int() for name, a in named(model)["w/DQ"].attributes.items()} == attributes
    assert model.graph.initializers["w/scale"].shape == ir.Shape(scale.shape)


def test_a_constant_that_others_read_stays_for_them():
    text = "net (float[1, 2] x) => (float[1, 2] y) { [one] a = MatMul (x, w) [two] y = MatMul (a, w) }"
    params = QParams(scale=np.float32(0.5), zero_point=np.int8(0), qtype=INT8)
    model = build(text, w=(2, 2))
    qdq.quantize_constants(model.graph, {("one", 1): Constant(params=params)})
    nodes = named(model)
    assert (read_by(nodes["one"])[1], read_by(nodes["two"])[1]) == ("w_dq", "w")
    assert nodes["w/DQ"].outputs[0].shape == ir.Shape([2, 2])
    qdq.quantize_constants(model.graph, {("two", 1): Constant(params=params)})
    assert "w" not in model.graph.initializers


def test_the_constant_of_a_node_goes_with_it():
    text = (
        "net (float[1, 2] x) => (float[1, 2] y) { [held] w = Constant <value = float[2, 2] {1, 2, 3, 4}> () "
        "[one] y = MatMul (x, w) }"
    )
    model = build(text)
    params = QParams(scale=np.float32(0.5), zero_point=np.int8(0), qtype=INT8)
    qdq.quantize_constants(model.graph, {("one", 1): Constant(params=params)})
    assert [node.name for node in model.graph] == ["w/DQ", "one"]
    assert model.graph.initializers["w_q"].const_value.numpy().tolist() == [[2, 4], [6, 8]]


def test_codes_of_32_bits_have_no_zero_point():
    model = build(
        "net (float[1, 2] x) => (float[1, 2] y) { [one] y = Gemm (x, w, b) }", w=(2, 2), b=np.float32([1, -2])
    )
    params = QParams(scale=np.float32(0.5), zero_point=np.int32(0), qtype=INT32)
    qdq.quantize_constants(model.graph, {("one", 2): Constant(params=params)})
    assert read_by(named(model)["b/DQ"]) == ["b_q", "b/scale"]
    assert model.graph.initializers["b_q"].const_value.numpy().tolist() == [2, -4]
    (found,) = qdq.read(model)
    assert (found.name, found.constant, found.params) == ("b", True, params)


PAIRS = """
net (float[1, 2, 2, 2] x, float[1, 2, 2, 2] z) => (float[a, b, c, d] y) {{
  [q] xq = QuantizeLinear (x, s, o) [dq] xd = DequantizeLinear (xq, s, o)
  [conv] c = Conv (xd, w) [plain] p = Conv (z, w) {body}
}}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[it] y = Relu (xd)", True),
        ("[it] y = Relu (z)", False),
        ("[it] y = Add (xd, xd)", True),
        ("[it] y = Add (xd, z)", False),
        ("[it] y = Add (z, z)", False),
        ("[it] y = Add (xd, c)", True),  # the convolution that the sum is fused with
        ("[it] y = Add (c, xd)", True),
        ("[it] y = Add (c, p)", False),
        ("[it] y = Mul (c, xd)", False),
        ("[it] y = Conv (xd, w, b)", False),  # of a float weight
        ("[it] y = Gather (xd, i)", True),
        ("[it] y = QuantizeLinear (xd, s, o)", False),
        ("[it] y = DequantizeLinear (xq, s, o)", False),
    ],
)
def test_a_node_declares_int8_where_all_its_floats_are_dequantized(body, expected):
    weights = {"w": (2, 2, 1, 1), "s": np.float32(0.5), "o": np.uint8(3)}
    weights |= {"b": (2,)} if ", b)" in body else {"i": np.array([0, 0])} if ", i)" in body else {}
    model = build(PAIRS.format(body=body), **weights)
    assert qdq.declares_int8(named(model)["it"]) is expected


def quantizer(scale, zero_point, storage: np.dtype | type = np.uint8, axis: str = "") -> ir.Node:
    given = {} if zero_point is None else {"z": np.asarray(zero_point, storage)}
    node = f"QuantizeLinear {f'<axis = {axis}>' if axis else ''} (x, s{', z' if given else ''})"
    text = f"net (float[2, 3] x) => (uint8[2, 3] y) {{ [it] y = {node} }}"
    return build(text, 19, s=np.asarray(scale, np.float32), **given).graph[0]


def test_parameters_of_other_writers():
    plain = qdq.read_params(quantizer(0.5, 3))
    assert plain == PARAMS
    assert qdq.read_params(quantizer([0.5], [3])) == PARAMS  # one scale in a vector is one for the tensor
    assert qdq.read_params(quantizer(0.5, None)) == QParams(
        scale=np.float32(0.5), zero_point=np.uint8(0), qtype=UINT8
    )
    by_default = qdq.read_params(quantizer([0.5, 1, 2], [3, 4, 5]))
    assert (by_default.granularity, by_default.scale.tolist(), by_default.zero_point.tolist()) == (
        PerAxis(1),
        [0.5, 1.0, 2.0],
        [3, 4, 5],
    )
    assert qdq.read_params(quantizer([0.5, 1], [3, 4], axis="0")).granularity == PerAxis(0)
    wide = qdq.read_params(quantizer(0.5, -3, np.int16)).qtype
    assert (wide.storage, wide.qmin, wide.qmax) == ("int16", -32768, 32767)


def test_parameters_that_are_computed_or_blocked_or_of_other_formats_are_not_read():
    assert qdq.read_params(quantizer([[0.5, 0.5, 0.5]], np.zeros((1, 3)), axis="0")) is None
    computed = "net (float[2] x, float s) => (uint8[2] y) { [it] y = QuantizeLinear (x, s) }"
    assert qdq.read_params(build(computed).graph[0]) is None
    text = "net (float[2] x) => (float8e4m3fn[2] y) { [it] y = QuantizeLinear (x, s, z) }"
    zero = np.zeros((), ir.DataType.FLOAT8E4M3FN.numpy())
    assert qdq.read_params(build(text, 19, s=np.float32(1), z=zero).graph[0]) is None
    assert qdq.read(build(text, 19, s=np.float32(1), z=zero)) == []


def test_a_constant_without_a_zero_point_has_that_of_its_codes():
    text = "net (float[2] x) => (float[2] y) { [back] d = DequantizeLinear (w_q, s) [sum] y = Add (x, d) }"
    (found,) = qdq.read(build(text, w_q=np.int8([1, -2]), s=np.float32(0.5)))
    assert (found.name, found.constant) == ("w", True)
    assert (found.params.qtype, found.params.zero_point) == (INT8, np.int8(0))
