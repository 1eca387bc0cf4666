import numpy as np
import pytest

from tests.graph.build import build
from tests.models import inception, residual, transformer
from tinyint.errors import ModelError, RecordError
from tinyint.graph.flow import observed
from tinyint.graph.prepare import prepare
from tinyint.numbers.numerics import INT8, UINT8, QParams, fake_quantize
from tinyint.numbers.observers import Summary
from tinyint.quantization.calibration import CalibrationRecord
from tinyint.quantization.plan import plan
from tinyint.quantization.qparams import assign_constants, assign_qparams, input_tensor, largest_code
from tinyint.quantization.ranges import RangeMethod
from tinyint.quantization.recipe import Recipe
from tinyint.targets import get_target

MINMAX = RangeMethod(algorithm="minmax")
DEFAULT = Recipe.load("default")
X86 = get_target("x86-vnni")


def record_of(model, **ranges: tuple[float, float]) -> CalibrationRecord:
    """A record in which every observed tensor spans [-1, 1], but for those given."""
    record = CalibrationRecord("fingerprint")
    for value in observed(model.graph):
        lo, hi = ranges.get(value.name, (-1.0, 1.0))
        summary = record.summaries.setdefault(value.name, Summary())
        summary.update(lo, hi, np.float32([lo, hi]), b"0" * 16)
    return record


def test_scales_by_hand():
    model = residual()
    assignment = assign_qparams(
        model, plan(model, X86, DEFAULT), record_of(model, x=(-1.0, 4.1), ar=(0.0, 5.1)), MINMAX
    )
    x, ar = assignment.tensors["x"], assignment.tensors["ar"]
    assert (x.scale, x.zero_point) == (np.float32(0.02), 50)
    assert (ar.scale, ar.zero_point) == (np.float32(0.02), 0)


def test_a_range_below_one_keeps_its_own_scale():
    model = residual()
    assignment = assign_qparams(model, plan(model, X86, DEFAULT), record_of(model, x=(-0.25, 0.5)), MINMAX)
    x = assignment.tensors["x"]
    assert (x.scale, x.zero_point) == (np.float32(0.75 / 255), 85)


@pytest.mark.parametrize(
    ("made", "scale", "expected"),
    [
        ("Clip (x, zero, six)", 0.1, 61),  # one more than that of the bound
        ("Clip (x, zero, six)", 6 / 255, 255),
        ("Sigmoid (x)", 0.01, 101),
        ("Relu (x)", 0.1, 255),
        ("Neg (x)", 0.1, 255),
    ],
)
def test_the_largest_code_is_that_of_what_the_operator_gives_at_most(made, scale, expected):
    text = f"net (float[4] x) => (float[4] y) {{ m = {made} y = Identity (m) }}"
    bounds = {"zero": np.float32(0), "six": np.float32(6)} if "Clip" in made else {}
    graph = build(text, **bounds).graph
    params = QParams(scale=np.float32(scale), zero_point=np.uint8(0), qtype=UINT8)
    assert largest_code(graph[0].outputs[0], params) == expected
    assert largest_code(graph.inputs[0], params) == 255


def test_the_largest_of_signed_codes_is_that_to_which_kernels_have_added_128():
    six = {"zero": np.float32(0), "six": np.float32(6)}
    graph = build(
        "net (float[4] x) => (float[4] y) { m = Clip (x, zero, six) y = Identity (m) }", **six
    ).graph
    params = QParams(scale=np.float32(0.1), zero_point=np.int8(0), qtype=INT8)
    assert largest_code(graph[0].outputs[0], params) == 61 + 128
    assert largest_code(graph.inputs[0], params) == 127 + 128


def test_bias_scale_is_exactly_input_times_weight_scale():
    model = residual()
    planned = plan(model, X86, DEFAULT)
    assignment = assign_qparams(model, planned, record_of(model), MINMAX)
    weight = assignment.constants["conv1", 1].params.scale
    bias = assignment.constants["conv1", 2].params.scale
    assert bias.shape == (8,)
    assert np.array_equal(bias, assignment.tensors["x"].scale * weight)


def test_a_group_spans_the_ranges_of_its_members():
    model = inception()
    record = record_of(model, ar=(0.0, 1.0), br=(0.0, 7.0), c=(0.0, 7.0))
    tensors = assign_qparams(model, plan(model, X86, DEFAULT), record, MINMAX).tensors
    assert {float(tensors[name].scale) for name in ("ar", "br", "c", "p")} == {float(np.float32(7 / 255))}


def test_the_range_of_softmax_is_known():
    model = transformer()
    planned = plan(model, X86, DEFAULT.with_settings(["op_types=all"]))
    assert planned.tensors["p"].fixed_range == (0.0, 255 / 256)
    params = assign_qparams(model, planned, record_of(model, p=(0.0, 0.3)), MINMAX).tensors["p"]
    assert params.scale == np.float32(1 / 256)


def softmax_behind_a_mover(length: int, size: int | str = 8, axis: int = 1):
    """Along axis 3 the softmax is over `size` elements."""
    return prepare(
        build(
            f"net (float[1, 4, {size}, {size}] x) => (float[1, 2, {size}, {size}] y) {{ [first] a = Conv (x, w) "
            f"[turn] t = Transpose <perm = [0, 1, 3, 2]> (a) [softmax] p = Softmax <axis = {axis}> (t) "
            "[last] y = Conv (p, v) }",
            w=(length, 4, 1, 1),
            v=(2, length, 1, 1),
        )
    )


@pytest.mark.parametrize(
    ("length", "seen", "inverse"),
    [
        (1, 1.0, 128),
        (16, 0.1, 256),
        (32, 0.1, 256),
        (64, 0.01, 255 * 16),
        (64, 0.9, 255 / 0.9),
        (64, 1.0, 256),
    ],
)
def test_a_quantizer_behind_softmax_is_never_so_fine_that_its_kernel_overflows(length, seen, inverse):
    model = softmax_behind_a_mover(length)
    planned = plan(model, X86, DEFAULT)
    assert "softmax" in planned.float_nodes
    params = assign_qparams(model, planned, record_of(model, p=(0.0, seen)), MINMAX).tensors["p"]
    assert 1 / params.scale == pytest.approx(inverse, rel=1e-3)


def test_a_softmax_on_openvino_has_a_calibrated_range():
    model = softmax_behind_a_mover(16)
    openvino = plan(model, get_target("openvino-vnni"), DEFAULT).tensors["p"]
    assert (openvino.fixed_range, openvino.stretch) == (None, None)


@pytest.mark.parametrize(("seen", "inverse"), [(0.01, 255 * 50), (0.9, 256)])
def test_a_quantizer_behind_a_softmax_of_unknown_length_holds_twice_what_was_seen(seen, inverse):
    model = softmax_behind_a_mover(16, "S", axis=3)
    planned = plan(model, X86, DEFAULT)
    params = assign_qparams(model, planned, record_of(model, p=(0.0, seen)), MINMAX).tensors["p"]
    assert 1 / params.scale == pytest.approx(inverse, rel=1e-3)


def test_a_softmax_that_reads_no_codes_has_a_calibrated_range_if_its_length_is_unknown():
    model = prepare(
        build(
            "net (float[1, S, 8] x) => (float[1, S, 8] y) { [turn] t = Transpose <perm = [0, 2, 1]> (x) "
            "[scores] s = MatMul (x, t) [softmax] p = Softmax (s) [mix] y = MatMul (p, x) }"
        )
    )
    tensor = plan(model, X86, DEFAULT).tensors["p"]
    assert (tensor.fixed_range, tensor.stretch) == (None, None)


def test_a_huge_bias_costs_weight_resolution_not_the_bias():
    weights = np.full((2, 1, 1, 1), 1e-6, np.float32)
    model = prepare(
        build(
            """
            net (float[1, 1, 2, 2] x) => (float[1, 2, 2, 2] y) { [conv] y = Conv (x, w, b) }
            """,
            w=weights,
            b=np.float32([1e6, 1e-3]),
        )
    )
    constants = assign_qparams(model, plan(model, X86, DEFAULT), record_of(model), MINMAX).constants
    raised, plain = constants["conv", 1].params.scale
    assert plain == np.float32(1e-6) / np.float32(127)
    assert raised > 1000 * plain
    assert 1e6 / float(constants["conv", 2].params.scale[0]) < 2**31


def test_a_record_of_another_model_is_refused_by_the_tensor_it_lacks():
    model = residual()
    record = record_of(model)
    del record.summaries["br"]
    with pytest.raises(RecordError, match="'br'"):
        assign_qparams(model, plan(model, X86, DEFAULT), record, MINMAX)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(bad):
    model = prepare(
        build(
            "net (float[1, 1, 2, 2] x) => (float[1, 1, 2, 2] y) { [conv] y = Conv (x, w) }",
            w=np.full((1, 1, 1, 1), bad, np.float32),
        )
    )
    with pytest.raises(ModelError, match="'w' of node 'conv'"):
        assign_qparams(model, plan(model, X86, DEFAULT), record_of(model), MINMAX)


def test_a_dead_channel_has_scale_one():
    model = prepare(
        build(
            "net (float[1, 1, 2, 2] x) => (float[1, 2, 2, 2] y) { [conv] y = Conv (x, w) }",
            w=np.float32([0.0, 1.27]).reshape(2, 1, 1, 1),
        )
    )
    constants = assign_qparams(model, plan(model, X86, DEFAULT), record_of(model), MINMAX).constants
    assert constants["conv", 1].params.scale.tolist() == [1.0, np.float32(0.01)]


@pytest.mark.parametrize("target", ["x86-vnni", "openvino", "arm64"])
def test_a_bias_survives_an_input_that_calibration_saw_as_zeros(target):
    """Under a scale of 1, biases of 0.4 would be 0 or 1 steps of 1 · 1 / 127 · 127."""
    model = prepare(
        build(
            """
            net (float[1, 2] x) => (float[1, 2] y, float[1, 2] z) {
              [moved] m = Transpose <perm = [0, 1]> (x)
              [first] y = Gemm (m, w, b)
              [other] z = Gemm (x, w, c)
            }
            """,
            w=np.float32([[127, 1], [-3, 127]]),
            b=np.float32([0.4, -0.1]),
            c=np.float32([0.002, 0.0]),
        )
    )
    planned = plan(model, get_target(target), DEFAULT)
    assignment = assign_qparams(model, planned, record_of(model, x=(0.0, 0.0)), MINMAX)
    for name, bias in (("first", [0.4, -0.1]), ("other", [0.002, 0.0])):
        assert fake_quantize(bias, assignment.constants[name, 2].params) == pytest.approx(bias, rel=1e-4)
    scale = min(float(assignment.tensors[name].scale) for name in ("x", "m") if name in assignment.tensors)
    assert scale == pytest.approx(0.002 / 2**16)


def test_an_input_that_calibration_saw_keeps_its_scale():
    model = prepare(
        build(
            "net (float[1, 2] x) => (float[1, 2] y) { [first] y = Gemm (x, w, b) }",
            w=np.float32([[127, 1], [-3, 127]]),
            b=np.float32([0.4, -0.1]),
        )
    )
    record = record_of(model, x=(0.0, 255.0))
    assert assign_qparams(model, plan(model, X86, DEFAULT), record, MINMAX).tensors["x"].scale == 1.0


@pytest.mark.parametrize(("first", "second"), [("b", "c"), ("c", "b")])
def test_an_unseen_input_is_as_fine_as_the_smallest_of_its_biases_needs(first, second):
    text = (
        "net (float[1, 2] x) => (float[1, 2] y, float[1, 2] z) { "
        f"[first] y = Gemm (x, w, {first}) [other] z = Gemm (x, w, {second}) }}"
    )
    weights = {
        "w": np.float32([[127, 1], [-3, 127]]),
        "b": np.float32([0.4, -0.1]),
        "c": np.float32([0.002, 0]),
    }
    model = prepare(build(text, **weights))
    tensors = assign_qparams(model, plan(model, X86, DEFAULT), record_of(model, x=(0.0, 0.0)), MINMAX).tensors
    assert tensors["x"].scale == pytest.approx(0.002 / 2**16)


def test_a_tensor_of_which_no_sample_was_seen_is_refused():
    model = residual()
    record = record_of(model)
    record.summaries["br"] = Summary()
    with pytest.raises(RecordError, match="'br'"):
        assign_qparams(model, plan(model, X86, DEFAULT), record, MINMAX)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_number_that_is_not_finite_is_enough(bad):
    text = "net (float[1, 2] x) => (float[1, 2] y) { [fc] y = Gemm (x, w, b) }"

    def assigned(w, b):
        model = prepare(build(text, w=np.float32(w), b=np.float32(b)))
        return assign_qparams(model, plan(model, X86, DEFAULT), record_of(model), MINMAX)

    with pytest.raises(ModelError, match="'w' of node 'fc' holds NaN or Inf"):
        assigned([[1, bad], [2, 3]], [0, 1])
    with pytest.raises(ModelError, match="the bias of node 'fc' holds NaN or Inf"):
        assigned([[1, 4], [2, 3]], [bad, 1])


def test_the_bias_of_a_dead_channel_is_the_whole_result_and_keeps_its_bits():
    model = prepare(
        build(
            "net (float[1, 1, 2, 2] x) => (float[1, 2, 2, 2] y) { [conv] y = Conv (x, w, b) }",
            w=np.float32([0.0, 1.27]).reshape(2, 1, 1, 1),
            b=np.float32([0.3, 0.21234]),
        )
    )
    constants = assign_qparams(model, plan(model, X86, DEFAULT), record_of(model), MINMAX).constants
    dead, alive = fake_quantize(np.float32([0.3, 0.21234]), constants["conv", 2].params)
    assert dead == pytest.approx(0.3, rel=1e-5)
    assert abs(alive - 0.21234) > 1e-5  # in steps of 0.01 · 2 / 255
    assert constants["conv", 1].params.scale[1] == np.float32(0.01)


LIMITED = """
net (float[1, 4] x) => (float[1, 2] y) {{ [cut] m = {made} [fc] y = Gemm <transB = 1> (m, w, b) }}
"""


@pytest.mark.parametrize(
    ("made", "highest", "codes"),
    [
        # Up to 255, pairs may add up to 128; for the second filter, whose pairs do not meet, nothing changes.
        ("Relu (x)", 12.0, [64, 64, 127, -127]),
        ("Clip (x, zero, six)", 6.0, [64, 64, 127, -127]),
        # The 6 of a Clip is code 128 of 255, so that 129 · (127 + 127) is 32,766.
        ("Clip (x, zero, six)", 12.0, [127, 127, 127, -127]),
    ],
)
def test_the_codes_that_a_weight_is_multiplied_by_limit_it_without_vnni(made, highest, codes):
    bounds = {"zero": np.float32(0), "six": np.float32(6)} if "Clip" in made else {}
    weight = np.float32([[1, 1, 0, 0], [1, -1, 0, 0]])
    model = prepare(build(LIMITED.format(made=made), w=weight, b=np.float32([0.5, -0.5]), **bounds))
    target = get_target("x86-avx2")
    planned = plan(model, target, DEFAULT)
    assert planned.constants["fc", 1].packings is not None
    record = record_of(model, m=(0.0, highest), x=(0.0, highest))
    constant = assign_qparams(model, planned, record, MINMAX).constants["fc", 1]
    assert constant.codes is not None
    scale = constant.params.scale
    assert (scale[1], scale[0]) == (np.float32(1 / 127), pytest.approx(1 / codes[0], rel=0.02))
    assert np.abs(constant.codes[0, :2] - codes[:2]).max() <= 1
    assert constant.codes[0].sum() <= 2 * codes[0]
    assert constant.codes[1].tolist() == [127, -127, 0, 0]


def test_whatever_may_multiply_a_weight_limits_it_to_the_largest_code_there_is():
    weight = np.float32([[1, 1, 0, 0], [1, -1, 0, 0]])
    bounds = {"zero": np.float32(0), "six": np.float32(6)}
    model = prepare(build(LIMITED.format(made="Clip (x, zero, six)"), w=weight, b=(2,), **bounds))
    plans = {("fc", 1): plan(model, get_target("x86-avx2"), DEFAULT).constants["fc", 1]}
    nodes = {node.name: node for node in model.graph}
    constant = assign_constants(nodes, plans)["fc", 1]
    assert constant.codes[0, :2].sum() in (
        127,
        128,
    )  # 129 would leave 16 bits by 255, and 126 would be too few
    assert constant.codes[1].tolist() == [127, -127, 0, 0]
    assert (
        assign_constants(nodes, {("fc", 1): plan(model, X86, DEFAULT).constants["fc", 1]})["fc", 1].codes
        is None
    )


def test_the_tensor_that_serves_a_node_stands_before_what_has_moved_it():
    graph = build(
        "net (float[1, 2, 4] x) => (float[1, 4, 3] y) { [turn] t = Transpose <perm = [0, 2, 1]> (x) "
        "[flat] r = Reshape (t, shape) [fc] y = MatMul (r, w) }",
        w=(2, 3),
        shape=np.array([1, 4, 2]),
    ).graph
    (fc,) = [node for node in graph if node.name == "fc"]
    assert input_tensor(fc, {"x"}) == "x"
    assert input_tensor(fc, {"x", "t"}) == "t"
    assert input_tensor(fc, {"x", "t", "r"}) == "r"


def test_a_pair_over_the_limit_adds_up_to_exactly_what_16_bits_hold():
    weight = np.random.default_rng(0).uniform(-0.4, 0.4, (2, 64)).astype(np.float32)
    weight[:, :2] = [1.0, 0.5]
    text = "net (float[1, 64] x) => (float[1, 2] y) { [fc] y = Gemm <transB = 1> (x, w) }"
    model = prepare(build(text, w=weight))
    plans = {("fc", 1): plan(model, get_target("x86-avx2"), DEFAULT).constants["fc", 1]}
    codes = assign_constants({node.name: node for node in model.graph}, plans)["fc", 1].codes
    assert codes[:, :2].astype(int).sum(axis=1).max() == 128  # 128 · 255 is 32,640
