import numpy as np
import pytest

from tests.graph.build import build
from tests.models import depthwise, inception, residual, transformer
from tinyint.errors import ModelError, RecipeError, TargetError
from tinyint.graph.ops import ALL
from tinyint.graph.prepare import prepare
from tinyint.numbers.granularity import PerAxis
from tinyint.numbers.numerics import INT8, UINT8
from tinyint.numbers.scheme import Scheme
from tinyint.quantization.plan import Role, plan
from tinyint.quantization.recipe import Recipe
from tinyint.targets import TARGETS, get_target

DEFAULT = Recipe.load("default")
X86 = get_target("x86-vnni")


def test_a_residual_network_is_int8_throughout_on_x86():
    planned = plan(residual(), X86, DEFAULT)
    assert planned.float_nodes == {}
    assert planned.absorbed == {"relu1", "relu2", "relu3"}
    # every tensor between the operators; not the logits, which a Gemm can give in float
    assert set(planned.tensors) == {"x", "ar", "br", "c", "sr", "p", "f"}
    assert planned.tensors["ar"].reads is ALL
    assert planned.tensors["x"].reads == {("conv1", 0)}
    assert planned.tensors["ar"].scheme == Scheme(qtype=UINT8, symmetric=False)


def test_constants_of_a_residual_network():
    planned = plan(residual(), X86, DEFAULT)
    constants = planned.constants
    assert {use: c.role for use, c in constants.items() if use[0] == "conv1"} == {("conv1", 1): Role.WEIGHT}
    assert planned.bias_weights["conv1", 2] == ("conv1", 1)
    assert constants["conv1", 1].scheme == Scheme(qtype=INT8.narrow(), symmetric=True, granularity=PerAxis(0))
    assert constants["fc", 1].scheme.axis == 0  # transB


def test_tensorrt_quantizes_inputs_and_the_skip_connection_only():
    planned = plan(residual(), get_target("tensorrt"), DEFAULT)
    assert set(planned.tensors) == {"x", "ar", "br", "f"}
    assert planned.tensors["ar"].reads == {("conv2", 0), ("add", 1)}
    assert planned.absorbed == frozenset()
    assert all(c.role is Role.WEIGHT for c in planned.constants.values())
    assert planned.tensors["x"].scheme == Scheme(qtype=INT8, symmetric=True)


def test_a_pool_on_tensorrt_is_int8_between_quantizers_that_stand_anyway():
    behind_float = plan(residual(), get_target("tensorrt"), DEFAULT).float_nodes["pool"]
    assert behind_float.startswith("the int8 operators before it give float results")
    branch = prepare(
        build(
            """
            net (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y, float[1, 2, 7, 7] z) {
              [main] y = Conv (x, w)
              [pool] p = AveragePool <kernel_shape = [2, 2]> (x)
              [branch] z = Conv (p, w)
            }
            """,
            w=(2, 2, 1, 1),
        )
    )
    planned = plan(branch, get_target("tensorrt"), DEFAULT)
    assert "pool" in planned.int8_nodes
    assert planned.tensors["x"].reads == {("main", 0), ("pool", 0)}
    assert planned.tensors["p"].reads is ALL  # one quantizer, of the pool and of its reader


def test_generic_leaves_the_clamps():
    planned = plan(residual(), get_target("generic"), DEFAULT)
    assert planned.absorbed == frozenset()
    assert planned.float_nodes == {}


def test_concat_and_pool_share_one_scale():
    planned = plan(inception(), X86, DEFAULT)
    groups = {name: tensor.group for name, tensor in planned.tensors.items()}
    assert groups["ar"] == groups["br"] == groups["c"] == groups["p"]
    assert groups["x"] == "x"
    assert groups["y"] == "y"


def lopsided():
    return prepare(
        build(
            """
            net (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) {
              [left] a = Conv (x, w)
              [relu] ar = Relu (a)
              [right] b = Conv (x, w)
              [join] c = Concat <axis = 1> (ar, b)
              [last] y = Conv (c, v)
            }
            """,
            w=(2, 2, 1, 1),
            v=(2, 4, 1, 1),
        )
    )


def test_concat_of_a_clamped_and_a_free_tensor():
    x86, openvino = plan(lopsided(), X86, DEFAULT), plan(lopsided(), get_target("openvino-vnni"), DEFAULT)
    # a shared range reaches below zero, where it does not replace the Relu: either no sharing, or the Relu stays
    assert x86.tensors["ar"].group != x86.tensors["b"].group
    assert "relu" in x86.absorbed
    assert openvino.tensors["ar"].group == openvino.tensors["b"].group
    assert "relu" not in openvino.absorbed


def test_attention_is_int8_but_what_stands_between_float_operators_is_not():
    planned = plan(transformer(), X86, DEFAULT)
    assert set(planned.int8_nodes) == {"query", "query_bias", "key", "turn", "scores", "mix", "out"}
    assert set(planned.float_nodes) == {"softmax", "skip", "norm"}
    assert planned.float_nodes["norm"] == "LayerNormalization has no int8 form"
    # the bias is added in int32, and what is moved is moved as bytes
    assert planned.bias_weights["query_bias", 1] == ("query", 1)
    assert planned.tensors["k"].group == planned.tensors["kt"].group
    assert "q0" not in planned.tensors


def test_openvino_multiplies_activations_that_have_a_zero_point_of_zero():
    openvino = plan(transformer(), get_target("openvino-vnni"), DEFAULT)
    assert "scores" in openvino.int8_nodes
    for name in ("q", "k"):
        assert str(openvino.tensors[name].scheme) == "int8 [-128, 127] symmetric per tensor"
    assert openvino.tensors["x"].scheme == get_target("openvino-vnni").activation
    assert (
        "others read an operand in another format" in openvino.float_nodes["mix"]
    )  # x, which the Add reads too


def test_openvino_leaves_a_product_in_float_whose_operand_others_read_in_another_format():
    model = build(
        "g (float[1,3,8,8] x) => (float[1,4,8,8] y) { [a] c = Conv(x,v) [turn] t = Transpose<perm=[0,1,3,2]>(c) "
        "[both] m = MatMul(c,t) [b] d = Conv(c,w) [add] y = Add(d,m) }",
        v=(4, 3, 1, 1),
        w=(4, 4, 1, 1),
    )
    planned = plan(prepare(model), get_target("openvino-vnni"), DEFAULT)
    assert "others read an operand in another format" in planned.float_nodes["both"]
    assert "both" in plan(prepare(model), X86, DEFAULT).int8_nodes


def test_openvino_has_no_quantizer_behind_what_moves_values():
    planned = plan(inception(), get_target("openvino-vnni"), DEFAULT)
    assert set(planned.tensors) == {"x", "ar", "br"}
    assert planned.tensors["ar"].group == planned.tensors["br"].group
    assert {"join", "pool", "last"} <= set(planned.int8_nodes)


def test_openvino_computes_activations_in_the_convolution_before_them():
    model = build(
        "g (float[1,3,8,8] x) => (float[1,4,8,8] y) { [a] c = Conv(x,v) [leaky] l = LeakyRelu(c) [b] d = Conv(l,w) "
        "[gate] s = Sigmoid(d) [mix] y = Mul(d,s) }",
        v=(4, 3, 1, 1),
        w=(4, 4, 1, 1),
    )
    model = prepare(model)
    openvino = plan(model, get_target("openvino-vnni"), DEFAULT)
    # the second convolution has two readers, so its result is a tensor of its own
    assert set(openvino.tensors) == {"x", "l", "d", "s", "y"}
    assert set(openvino.int8_nodes) == {"a", "leaky", "b", "gate", "mix"}
    assert set(plan(model, X86, DEFAULT).tensors) == {"x", "c", "l", "d", "s", "y"}


def test_depthwise_answers_to_its_own_name():
    recipe = DEFAULT.with_settings(["skip=[DepthwiseConv]"])
    planned = plan(depthwise(), X86, recipe)
    assert planned.float_nodes["depth"] == "kept in float, as the recipe asks for DepthwiseConv"
    assert "expand" in planned.int8_nodes
    assert "clip2" not in planned.absorbed


def test_op_types_leave_the_others_in_float():
    planned = plan(residual(), X86, DEFAULT.with_settings(["op_types=[Gemm]"]))
    assert planned.int8_nodes == ("fc",)
    assert planned.float_nodes["conv1"] == "Conv is not among the operator types of the recipe"


def test_per_tensor_weights_and_seven_bits():
    planned = plan(
        residual(), X86, DEFAULT.with_settings(["weights.granularity=per_tensor", "weights.bits=7"])
    )
    scheme = planned.constants["conv1", 1].scheme
    assert (scheme.axis, scheme.qtype.qmin, scheme.qtype.qmax) == (None, -63, 63)


def test_symmetric_is_a_wish_that_tensorrt_cannot_refuse_and_x86_can_grant():
    symmetric = plan(residual(), X86, DEFAULT.with_settings(["activations.symmetric=true"]))
    assert symmetric.tensors["ar"].scheme.symmetric
    with pytest.raises(TargetError, match="symmetric activations only"):
        plan(residual(), get_target("tensorrt"), DEFAULT.with_settings(["activations.symmetric=false"]))


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(RecipeError, match="conv1"):
        plan(residual(), X86, DEFAULT.with_settings(["skip=[convl]"]))


def test_a_model_with_nothing_to_quantize_is_an_error():
    model = prepare(build("net (float[2] x) => (float[2] y) { y = Erf (x) }"))
    with pytest.raises(ModelError, match="its operators are Erf"):
        plan(model, X86, DEFAULT)


def test_a_table_of_constants_is_no_activation():
    model = prepare(
        build(
            """
            net (int64[4] ids, float[4, 8] x) => (float[4, 8] y) {
              [table] e = Gather <axis = 0> (words, ids)
              [add] s = Add (e, x)
              [product] y = MatMul (s, w)
            }
            """,
            words=(9, 8),
            w=(8, 8),
        )
    )
    planned = plan(model, X86, DEFAULT)
    assert planned.float_nodes["table"] == "its data are constant"
    assert "add" in planned.float_nodes
    assert planned.int8_nodes == ("product",)


def test_planning_changes_nothing():
    model = residual()
    before = [(node.name, node.op_type, [v.name for v in node.inputs if v]) for node in model.graph]
    plan(model, X86, DEFAULT)
    assert before == [(node.name, node.op_type, [v.name for v in node.inputs if v]) for node in model.graph]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("network", [residual, inception, depthwise, transformer])
def test_every_weighted_layer_is_int8_on_every_target(network, target):
    model = network()
    planned = plan(model, target, DEFAULT)
    weighted = {node for node, i in planned.constants if planned.constants[node, i].role is Role.WEIGHT}
    assert weighted == {n.name for n in model.graph if n.op_type in ("Conv", "Gemm", "MatMul")} - {
        "scores",
        "mix",
    }
    assert weighted <= set(planned.int8_nodes)
    # nothing is lost: every node has a decision
    assert {n.name for n in model.graph} == set(planned.int8_nodes) | set(planned.float_nodes)


def test_a_clip_that_does_not_hold_zero_is_no_quantizer():
    model = prepare(
        build(
            """
            net (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) {
              [conv] a = Conv (x, w)
              [clip] b = Clip (a, lo, hi)
              [last] y = Conv (b, w)
            }
            """,
            w=(2, 2, 1, 1),
            lo=np.float32(1.0),
            hi=np.float32(2.0),
        )
    )
    planned = plan(model, X86, DEFAULT)
    assert planned.absorbed == frozenset()
    assert "clip" in planned.float_nodes


@pytest.mark.parametrize(("bits", "limited"), [(8, True), (7, False)])
def test_weights_of_seven_bits_need_no_limit_on_pairs(bits, limited):
    recipe = DEFAULT.with_settings([f"weights.bits={bits}"])
    for target in ("x86-avx2", "openvino-avx2"):
        weights = [
            c
            for c in plan(residual(), get_target(target), recipe).constants.values()
            if c.role is Role.WEIGHT
        ]
        assert all((c.packings is not None) == limited for c in weights)
    assert all(
        c.packings is None for c in plan(residual(), get_target("x86-vnni"), recipe).constants.values()
    )


@pytest.mark.parametrize("target", TARGETS)
def test_the_product_of_a_vector_stays_in_float(target):
    # OpenVINO's int8 one gives a matrix
    model = prepare(
        build(
            "net (float[4] x) => (float[3] y) { [turn] y = MatMul (x, w) [other] z = MatMul (x, w) }",
            w=(4, 3),
        )
    )
    with pytest.raises(ModelError, match="is a vector"):
        plan(model, get_target(target), DEFAULT)
